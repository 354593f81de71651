"""The archive of files/pods that a machine gets: an entry, with what it imports and nothing else.

A fact sends it by standard input and leaves nothing on the machine: `python3 -I -c BOOT ENTRY` keeps it in memory
(memfd_create(2)) and runs it. What stays on a machine is the same archive, as a file: `python3 -I FILE ENTRY REQUEST`.
"""

import ast
import base64
import io
import json
import shlex
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

_PROJECT = Path(__file__).resolve().parent.parent
PODS = _PROJECT / "files" / "pods"
"""Programs that run on machines: Python 3.9 or newer, standard library only."""

BOOT = (
    "import base64,os,runpy,sys,zlib;"
    "a=zlib.decompress(base64.b64decode(sys.stdin.buffer.readline()));"
    'f=os.memfd_create("nanoclaw-pods");'
    "open(f,'wb',closefd=False).write(a);"
    'runpy.run_path(f"/proc/self/fd/{f}",run_name="__main__")'
)
"""Read an archive from the first line of standard input, and runs it: the one text that stands in argv."""

BEGIN, END = "<nanoclaw-pods ", " nanoclaw-pods>"
"""What stands before and after an answer, so that it is told from what shells print (files/pods/__main__.py)."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every file in an archive, so that equal sources make equal archives."""


def entry_file(entry: str) -> Path:
    """The file of an entry, `ROOM.NAME`."""
    return PODS / f"{entry.replace('.', '/')}.py"


def sources(*entries: str) -> dict[str, str]:
    """The files that entries consist of, by their paths in the project: their own, and those that these import."""
    texts: dict[str, str] = {}
    todo = [entry_file(entry) for entry in entries]
    while todo:
        path = todo.pop()
        name = str(path.relative_to(_PROJECT))
        if name not in texts:
            texts[name] = path.read_text(encoding="utf-8")
            todo += _imported(texts[name])
    return dict(sorted(texts.items()))


def _imported(text: str) -> Iterator[Path]:
    """The files of the package that a source imports."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("files.pods"):
            module = _PROJECT / (node.module or "").replace(".", "/")
            names = [module / f"{alias.name}.py" for alias in node.names]
            yield from [path for path in names if path.exists()] or [module.with_suffix(".py")]


def archive(files: Mapping[str, str]) -> bytes:
    """A zip of sources that python3 runs. Not compressed, so that every controller makes the same bytes."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as file:
        main = (PODS / "__main__.py").read_text(encoding="utf-8")
        # Before Python 3.13 zipimport knows a package without __init__.py only by an entry for its folder.
        folders = {f"{folder}/" for name in files for folder in list(map(str, Path(name).parents))[:-1]}
        for name, text in {"__main__.py": main, **dict.fromkeys(sorted(folders), ""), **files}.items():
            file.writestr(zipfile.ZipInfo(name, _EPOCH), text.encode())
    return written.getvalue()


@cache
def bundle(*entries: str) -> bytes:
    """The archive of some entries."""
    return archive(sources(*entries))


@cache
def _line(*entries: str) -> str:
    """The archive of entries as one line of text: pyinfra sends standard input line by line."""
    return base64.b64encode(zlib.compress(bundle(*entries), 9)).decode()


def boot_argv(entry: str) -> list[str]:
    """Return the argv that runs an entry; its archive and request arrive on standard input."""
    return ["python3", "-I", "-c", BOOT, entry]


def entry_of(command: str) -> str | None:
    """The entry that a command runs by BOOT; None for any other command."""
    _before, boot, after = command.partition(f"{shlex.quote(BOOT)} ")
    return after.split(maxsplit=1)[0] if boot and after else None


def boot_input(
    entry: str, request: Mapping[str, Any], payload: str = "", *, mark: bool = False, more: Sequence[str] = ()
) -> str:
    """The standard input of such a run.

    + payload: what the entry itself reads from its standard input
    + mark: whether the entry's output stands between BEGIN and END
    + more: entries that this one runs itself
    """
    return f"{_line(entry, *more)}\n{request_line(request, mark=mark)}{payload}"


def file_argv(file: str, entry: str) -> list[str]:
    """The argv that runs an entry of an archive that lies on the machine; its request arrives on standard input."""
    return ["python3", "-I", file, entry]


def request_line(request: Mapping[str, Any], *, mark: bool = False) -> str:
    """The line of standard input that holds a request."""
    return json.dumps({"request": request, "mark": mark}, sort_keys=True) + "\n"
