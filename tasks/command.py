"""The one place where argv for a machine is built and quoted.

Contract: every value is one quoted word; a value that holds a newline or NUL is refused, and so is one that
begins with `-` where an option could be read into it. Nothing secret stands in argv: it goes by standard input.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from pyinfra.api.command import QuoteString, StringCommand

from files.pods.common.protocol import Request
from files.pods.machine.protocol import WriteFileRequest
from tasks.bundle import boot_argv, boot_input


def argv(program: str, *arguments: str, stdin: str | None = None) -> StringCommand:
    """A command of one program and its words, each quoted. `stdin` is fed to it and is never shown."""
    for word in arguments:
        if any(c in word for c in "\n\r\0"):
            raise ValueError(f"a command's word holds a line break or NUL: {word!r}")
    bits = [program, *(QuoteString(word) for word in arguments)]
    return StringCommand(*bits, _stdin=stdin) if stdin is not None else StringCommand(*bits)


def value(word: str) -> str:
    """`word`, if it cannot be taken for an option: quoting does not stop option parsing."""
    if word.startswith("-"):
        raise ValueError(f"a value begins with '-': {word!r}")
    return word


def run_program(
    entry: str, request: Mapping[str, Any], payload: str = "", *, mark: bool = False, more: Sequence[str] = ()
) -> StringCommand:
    """Run files/pods/ROOM/NAME.py, `ROOM.NAME`, on the machine. Its archive, request and payload go by standard input.

    Nothing is copied to the machine, and argv holds no more than the entry's name. The program answers with one JSON
    document on its last line of output.

    + payload: what the program itself reads from its standard input
    + mark: whether its output stands between BEGIN and END (tasks/bundle.py)
    + more: programs that this one runs itself
    """
    program, *boot = boot_argv(entry)
    stdin = Unseen([boot_input(entry, request, payload, mark=mark, more=more)])
    return StringCommand(program, *map(QuoteString, boot), _stdin=stdin)


def run_request(request: Request, payload: str = "") -> StringCommand:
    """Run the entry of a request on the machine.

    + payload: what the entry itself reads from its standard input
    """
    return run_program(request.entry, request.document(), payload)


class Unseen(list[str]):
    """Lines of standard input that pyinfra does not show: it prints the arguments of a fact."""

    def __repr__(self) -> str:
        return "[not shown]"


def write_file(
    path: str, content: str | bytes, *, mode: str = "0644", uid: int = 0, gid: int = 0, validate: tuple[str, ...] = ()
) -> StringCommand:
    """Write a file atomically, after `validate` (argv, with {} for the new file) has passed; never show it."""
    request = WriteFileRequest(path, mode, uid, gid, list(validate), base64=isinstance(content, bytes))
    if isinstance(content, bytes):  # pyinfra sends text
        return run_request(request, base64.b64encode(content).decode())
    if not content.endswith("\n"):
        raise ValueError(f"{path}: content must end with a line break")
    return run_request(request, content)
