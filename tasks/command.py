"""The one place where argv for a machine is built and quoted.

Contract: every value is one quoted word; a value that holds a newline or NUL is refused, and so is one that
begins with `-` where an option could be read into it. Nothing secret stands in argv: it goes by standard input.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pyinfra.api.command import QuoteString, StringCommand

PROGRAMS = Path(__file__).resolve().parent.parent / "files" / "pods"
"""Programs that run on machines: Python 3.9 or newer, standard library only."""


def argv(program: str, *words: str, stdin: str | None = None) -> StringCommand:
    """A command of one program and its words, each quoted. `stdin` is fed to it and is never shown."""
    for word in words:
        if any(c in word for c in "\n\r\0"):
            raise ValueError(f"a command's word holds a line break or NUL: {word!r}")
    bits = [program, *(QuoteString(word) for word in words)]
    return StringCommand(*bits, _stdin=stdin) if stdin is not None else StringCommand(*bits)


def value(word: str) -> str:
    """`word`, if it cannot be taken for an option: quoting does not stop option parsing."""
    if word.startswith("-"):
        raise ValueError(f"a value begins with '-': {word!r}")
    return word


BEGIN, END = "<nanoclaw-pods ", " nanoclaw-pods>"
"""What stands before and after the output of a program that answers, so that a shell's own output is told from it."""


def run_program(
    name: str, arguments: Mapping[str, Any], stdin: str | None = None, *, marked: bool = False
) -> StringCommand:
    """Runs files/pods/ROOM/NAME.py, `ROOM.NAME`, on the machine, with `arguments` as one JSON document in its argv.

    Nothing is copied to the machine. The program answers with one JSON document on its last line of output.

    + marked: whether its output stands between BEGIN and END
    """
    program, *words = program_argv(name, arguments)
    if marked:
        words[2] = _marked(words[2])
    bits = [program, *(QuoteString(word) for word in words)]
    return StringCommand(*bits, _stdin=stdin) if stdin is not None else StringCommand(*bits)


def program_argv(name: str, arguments: Mapping[str, Any]) -> list[str]:
    """The argv of a program with its arguments, for a program that starts it on the machine."""
    return ["python3", "-I", "-c", program_text(name), json.dumps(arguments, sort_keys=True)]


@cache
def program_text(name: str) -> str:
    """The text of a program with what it imports of others, each once: a machine gets one text, and no files."""
    seen = set()

    def imported(found: re.Match[str]) -> str:
        if found[1] in seen:
            return ""
        seen.add(found[1])
        return _IMPORT.sub(imported, _read(found[1])).replace(_FUTURE, "")

    text = _read(name).replace(_FUTURE, _FUTURE + _C_LOCALE, 1)
    return f"# nanoclaw-pods {name}\n" + _IMPORT.sub(imported, text)


_FUTURE = "from __future__ import annotations\n"
_C_LOCALE = """
import os

os.environ["LC_ALL"] = "C.UTF-8"  # what a program's children print is compared, and never in a translation
os.environ.pop("LANGUAGE", None)  # which glibc before 2.39 obeys in C.UTF-8 too
"""


def _marked(text: str) -> str:
    return text.replace(_C_LOCALE, f'{_C_LOCALE}print("{BEGIN}", flush=True)\n', 1) + f'\nprint("{END}", flush=True)\n'


def program_file(name: str) -> Path:
    """The file of a program of files/pods, `ROOM.NAME`."""
    return PROGRAMS / f"{name.replace('.', '/')}.py"


def program_name(path: Path) -> str:
    """The name of a program by its file."""
    return ".".join(path.relative_to(PROGRAMS).with_suffix("").parts)


def _read(name: str) -> str:
    return program_file(name).read_text(encoding="utf-8")


_IMPORT = re.compile(r"^from files\.pods\.([\w.]+) import (?:\([^)]*\)|.*)\n", re.MULTILINE)


def write_file(
    path: str, content: str, *, mode: str = "0644", uid: int = 0, gid: int = 0, validate: tuple[str, ...] = ()
) -> StringCommand:
    """Writes a file atomically, after `validate` (argv, with {} for the new file) has passed; never shows it."""
    if not content.endswith("\n"):
        raise ValueError(f"{path}: content must end with a line break")
    arguments = {"path": path, "mode": mode, "uid": uid, "gid": gid, "validate": list(validate)}
    return run_program("machine.write_file", arguments, stdin=content)
