"""What the entries of this room are asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Optional

from files.pods.common.protocol import Request


@dataclass(frozen=True)
class ProbeRequest(Request):
    """A probe as host and as agent."""

    entry: ClassVar[str] = "probe.main"
    sessions: str
    groups: str
    mounts: list[str]
    """Mount points that have to be there."""
    host: tuple[int, int]
    agent: tuple[int, int]
    user: Optional[str]
    """docker's --user."""
    image: str
    wait: float
    """Seconds for the guard."""
    guard: str
    """The guard's unit."""
    heal: float
    """Seconds for NanoClaw to end what a killed agent left."""
    slug: str
