"""Commands that programs run on machines, by file: what tests/fixtures/commands.yaml has a second time.

A test that runs a stand-in seldom sees that an option is gone. The table shows a change of a command as what it is, and
says to whoever audits the role what it runs. `make docs` writes the table anew: read its diff, and
commit it with the change.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import yaml

from tests.constants import FILES, PROJECT

TABLE = PROJECT / "tests/fixtures/commands.yaml"
COMMANDS = frozenset(  # the first of an argv
    [
        "bash",
        "docker",
        "dpkg-query",
        "exportfs",
        "find",
        "findmnt",
        "getent",
        "git",
        "head",
        "ip",
        "journalctl",
        "ldd",
        "mount",
        "nfsconf",
        "nft",
        "node",
        "npm",
        "pnpm",
        "rsync",
        "sh",
        "sync",
        "sysctl",
        "systemctl",
        "systemd-analyze",
        "systemd-run",
        "test",
        "umount",
        "unshare",
    ]
)
NO_COMMANDS = frozenset({"get", "getgrnam", "partition", "split", "startswith", "endswith", "which"})
"""Functions that take the name of a command, or what begins like an option, and run nothing."""


def commands(source: str) -> list[str]:
    """The argv of a source, and parts of one with an option in them; {} is what is not known before a program runs."""
    return sorted(_line(parts) for parts in _argvs(ast.parse(source)) if _is_argv(parts))


def _argvs(module: ast.Module) -> Iterator[Sequence[ast.expr]]:
    """Lists, tuples, and the arguments of calls: helpers take an argv as theirs."""
    for node in ast.walk(module):
        if isinstance(node, ast.List | ast.Tuple):
            yield node.elts
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] not in NO_COMMANDS:
            yield node.args


def _is_argv(parts: Sequence[ast.expr]) -> bool:
    texts = [_text(part) for part in parts]
    return any(text.startswith("-") and len(text) > 1 for text in texts) or (len(texts) > 1 and texts[0] in COMMANDS)


def _text(part: ast.expr) -> str:
    return part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else ""


def _line(parts: Sequence[ast.expr]) -> str:
    return " ".join(_shown(part) for part in parts)


def _shown(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value) or "''"
    if isinstance(part, ast.JoinedStr):
        return "".join(str(piece.value) if isinstance(piece, ast.Constant) else "{}" for piece in part.values)
    return "{*}" if isinstance(part, ast.Starred) else "{}"


@cache
def written() -> dict[str, list[str]]:
    """The commands that the sources have, by file."""
    listed = {str(path.relative_to(PROJECT)): commands(path.read_text(encoding="utf-8")) for path in FILES}
    return {name: lines for name, lines in listed.items() if lines}


@cache
def table() -> dict[str, list[str]]:
    """The commands that the table has."""
    known: dict[str, Any] = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    return known


if __name__ == "__main__":
    head = "# Written by `make docs`; tests/commands.py says what for.\n"
    TABLE.write_text(head + yaml.safe_dump(written(), width=1000), encoding="utf-8")
