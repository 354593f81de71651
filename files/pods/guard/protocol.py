"""What the entries of this room are asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from files.pods.common.protocol import Request


@dataclass(frozen=True)
class GuardStateRequest(Request):
    """A guard."""

    entry: ClassVar[str] = "guard.state"
    unit: str
    unit_file: str
    program: str
    """The path of the program."""
    prefix: str
    """How the names of all guards' units begin."""
