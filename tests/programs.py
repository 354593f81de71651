"""Programs of files/pods, run by tests without a machine: as a machine runs them, from their archive."""

from __future__ import annotations

import base64
import json
import shlex
import sys
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields
from functools import cache
from importlib import import_module
from typing import Any, cast

from files.pods.common.protocol import Request, Sent
from tasks.bundle import archive, sources

Change = Callable[[str], str]
"""What a test does to the text of each source of a program."""

_RUN = (
    "import base64,os,runpy,zlib;a=zlib.decompress(base64.b64decode({line!r}));f=os.memfd_create('nanoclaw-pods');"
    "open(f,'wb',closefd=False).write(a);runpy.run_path(f'/proc/self/fd/{{f}}',run_name='__main__')"
)


def entry_argv(entry: str, change: Change | None = None) -> list[str]:
    """The argv that runs a program; its request follows as one JSON document. Standard input is the program's own.

    The archive is a part of argv, so that the program also runs where this project is not to be seen.
    """
    return [sys.executable, "-I", "-c", _RUN.format(line=_line(entry, change)), entry]


def program_argv(entry: str, request: Mapping[str, Any], change: Change | None = None) -> list[str]:
    """The argv that runs a program with this request."""
    return [*entry_argv(entry, change), json.dumps(request, sort_keys=True)]


def request_argv(request: Request, change: Change | None = None) -> list[str]:
    """The argv that runs the entry of a request."""
    return program_argv(request.entry, request.document(), change)


def request_of(kind: type[Sent], values: Mapping[str, Any]) -> Sent:
    """Return the request of a kind with those of the values that are its fields."""
    names = {field.name for field in fields(cast(Any, kind))}
    return kind(**{name: value for name, value in values.items() if name in names})


def request_fields(entry: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of these values is a field of the entry's request; all of them where it has no request class."""
    with suppress(ModuleNotFoundError):
        import_module(f"files.pods.{entry.rpartition('.')[0]}.protocol")
    kinds: list[Any] = [kind for kind in Request.__subclasses__() if kind.entry == entry]
    names = {field.name for kind in kinds for field in fields(kind)} if kinds else set(values)
    return {name: value for name, value in values.items() if name in names}


def machine_argv(entry: str, request: Mapping[str, Any], change: Change | None = None) -> list[str]:
    """The same, for any machine with python3."""
    return ["python3", *program_argv(entry, request, change)[1:]]


def shell_command(entry: str, request: Mapping[str, Any]) -> str:
    """The same as a shell command."""
    return shlex.join(machine_argv(entry, request))


def replaced(old: str, new: str) -> Change:
    """The change that puts one text in the place of another."""
    return lambda text: text.replace(old, new)


@cache
def _line(entry: str, change: Change | None) -> str:
    files = sources(entry)
    if change:
        changed = {name: change(text) for name, text in files.items()}
        if changed == files:
            raise ValueError(f"{entry} has nothing of what a test would change")
        files = changed
    return base64.b64encode(zlib.compress(archive(files))).decode()
