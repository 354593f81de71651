"""What the entries of this room are asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Optional

from files.pods.common.protocol import HostUser, Request


@dataclass(frozen=True)
class ImageRequest(Request):
    """The agent image."""

    entry: ClassVar[str] = "source.agent_image"
    image: str
    root: str
    uid: int
    gid: int
    record: str


@dataclass(frozen=True)
class CheckoutRequest(HostUser, Request):
    """The checkout of a project root."""

    entry: ClassVar[str] = "source.checkout"
    root: str
    repository: str
    ref: str
    gives: bool
    """Whether this machine decides who owns a root on NFS."""
    onecli: Optional[str]
    """ONECLI_URL of the service's environment."""
    peek: bool
    """Whether a commit that is not here is fetched aside to see what it needs."""
