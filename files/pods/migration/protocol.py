"""What the entries of this room are asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from files.pods.common.protocol import Request


@dataclass(frozen=True)
class ProgressRequest(Request):
    """A migration: its directory, its transient unit, v2's project root and the marker of the decision."""

    entry: ClassVar[str] = "migration.state"
    directory: str
    service: str
    root: str
    marker: str
