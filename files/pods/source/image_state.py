"""The agent image of a machine: the reply of source.agent_image."""

from __future__ import annotations

from dataclasses import dataclass

from files.pods.common.ids import Ids
from files.pods.common.protocol import Reply
from files.pods.source.protocol import ImageRequest


@dataclass(frozen=True)
class ImageRecord:
    """What the machine keeps of an image: its id, its user, and the container/ tree that it was built from."""

    image: str
    uid: int
    gid: int
    tree: str


@dataclass(frozen=True)
class ImageState(Reply):
    """The current agent image of a machine."""

    request = ImageRequest

    docker: str
    """Why the daemon does not answer; empty where it does."""
    shifts: bool
    """Whether it runs containers with other ids than it says (rootless, userns-remap)."""
    image: str | None
    """The id; None where there is none."""
    user: str
    """Its USER as written."""
    ids: Ids | None
    """What that means in the image; None where the image has no such user."""
    tree: str
    """Of container/ in the checkout, with its local changes; empty without a checkout."""
    record: ImageRecord | None
    lock: str = ""
    """SHA-256 of the lock file that its agent's dependencies came from, by its label; empty where it has none."""
    desired_lock: str = ""
    """SHA-256 of that lock file in the checkout; empty where there is none."""
