"""What the entries of this room are asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Optional

from files.pods.common.protocol import Request


@dataclass(frozen=True)
class SpaceRequest:
    """A path, and what has to be mounted there."""

    path: str
    mount: Optional[str]


@dataclass(frozen=True)
class InspectRequest(Request):
    """A NanoClaw v1."""

    entry: ClassVar[str] = "v1.inspect"
    dir: str
    """A path, or auto."""
    root: str
    """v2's project root."""
    uid: int
    """The host user's."""
    space: list[SpaceRequest]
    seconds: int
    """For the look into the install."""
