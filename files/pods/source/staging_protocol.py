"""Requests about a version that is staged beside the project root."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Optional

from files.pods.common.protocol import HostUser, Request
from files.pods.source.protocol import Work


@dataclass(frozen=True)
class StageRequest(Work, Request):
    """A commit that was fetched, to be staged beside the project root."""

    entry: ClassVar[str] = "source.stage"
    commit: str
    stash: Optional[str]
    """The message of the stash that takes local changes; None where there are none."""
    marker: Optional[str] = None
    """The file that commits to a new version: while it exists, the last switch is decided."""


@dataclass(frozen=True)
class StageSpaceRequest(Work, Request):
    """A project root, beside which a version will be staged."""

    entry: ClassVar[str] = "source.stage_space"


@dataclass(frozen=True)
class BuildStageRequest(Work, Request):
    """A staged commit to build; `source` is the same as that of a build in the project root, but for the digests."""

    entry: ClassVar[str] = "source.build_stage"
    node: Optional[str]
    """The major version of Node."""


@dataclass(frozen=True)
class StageSkillsRequest(Work, Request):
    """The gateway and the channels of a staged and built commit, as in a SkillsRequest."""

    entry: ClassVar[str] = "source.stage_skills"
    gateway: Optional[str]
    server: Optional[str]
    channels: list[str]


@dataclass(frozen=True)
class SwitchToStageRequest(Work, Request):
    """A staged and built commit that becomes that of the project root; or, with `back`, the one before again."""

    entry: ClassVar[str] = "source.switch_to_stage"
    commit: str
    stash: Optional[str]
    back: bool = False


@dataclass(frozen=True)
class RemoveStageRequest(Work, Request):
    """A stage that is not needed any more, with what a switch has kept of the version before."""

    entry: ClassVar[str] = "source.remove_stage"


@dataclass(frozen=True)
class StageImageRequest(Work, Request):
    """The agent image of a staged version, to be built under the stage's own name."""

    entry: ClassVar[str] = "source.stage_image"
    ids: Optional[tuple[int, int]]
    """The ids of agents, which its USER must have; None where that does not count."""
    image: Optional[str] = None
    """The name that the host process starts: what an earlier switch has kept of it is removed."""


@dataclass(frozen=True)
class SwitchImageRequest(HostUser, Request):
    """An image of a stage that takes the name of the project root's image."""

    entry: ClassVar[str] = "source.switch_image"
    root: str
    image: str
    """The name that the host process starts."""
    record: str
    """The path of its record."""
