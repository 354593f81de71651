"""The way out to the operator's terminal: of machines' text printable characters alone, of pyinfra its colours too.

A machine's text comes by many ways (output of commands, documents, errors, tracebacks), and all of them end in a write
to standard output or standard error. So the filter is there, once. pyinfra's own colours are escape sequences as well;
they carry a number that no machine knows, and only those with that number pass.
"""

import re
import secrets
import sys
from collections.abc import Callable
from typing import Any, TextIO

import click
from click import termui
from pyinfra.api.output import set_formatter

from tasks.model.sanitize import LINES, printable

_TAG = str(secrets.randbits(64))
_COLOUR = re.compile(r"\x1b\[([0-9;]+)m")
_OWN = re.compile(rf"\x1b\[{_TAG};([0-9;]+)m")
_SPINNER = re.compile(r"    [-/|\\](?: [^\r\n]*)?\r")
"""What pyinfra writes, and writes over, while it waits; `\\x1b[K` clears it."""

_style = click.style


def protect_terminal() -> None:
    """Filter all that this process prints from now on. config.py calls it, and deploy.py for runs without that."""
    for stream in (sys.stdout, sys.stderr):
        if not getattr(stream.write, "filters", False):
            stream.write = _filtered(stream)  # type: ignore[method-assign]
    click.style = termui.style = _own_style
    set_formatter(_own_style)


def _own_style(text: Any, *arguments: Any, **named: Any) -> str:
    """click.style, with sequences that pass the filter."""
    before, _, after = _style("\0", *arguments, **named).partition("\0")
    return f"{_signed(before)}{text}{_signed(after)}"


def _signed(sequences: str) -> str:
    return _COLOUR.sub(lambda match: f"\x1b[{_TAG};{match[1]}m", sequences)


def _filtered(stream: TextIO) -> Callable[[str], int]:
    write = stream.write

    def filtered(text: str) -> int:
        write(shown(text, coloured=stream.isatty()))
        return len(text)

    filtered.filters = True  # type: ignore[attr-defined]
    return filtered


def shown(text: str, *, coloured: bool) -> str:
    """What is written in place of a text."""
    if coloured and (text == "\x1b[K" or _SPINNER.fullmatch(text)):
        return text[:4] + printable(text[4:-1]) + "\r" if text.endswith("\r") else text
    parts = _OWN.split(text)  # every second part is what a colour's sequence says
    return "".join(
        (f"\x1b[{part}m" if coloured else "") if number % 2 else printable(part, LINES)
        for number, part in enumerate(parts)
    )
