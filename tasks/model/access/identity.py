"""The ids of the agent, and the ids that a server acts with for a client.

Sources of the rules: exports(5) "User ID Mapping" for squashing; NanoClaw's container runner for the agent: a
container starts as the image's USER when the host process's uid is 0, or 1000 without a session driver (before 2.3.0),
and as its uid and gid otherwise;
user_namespaces(7) and subuid(5) for what a daemon makes of a container's ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from files.pods.common.ids import HIGHEST_ID as HIGHEST_ID
from files.pods.common.ids import IdentityError as IdentityError
from files.pods.common.ids import Ids as Ids
from files.pods.common.ids import check_id as check_id

NOBODY = 65534
"""The uid and gid of nobody, to which a squashing server maps by default (exports(5), anonuid)."""


def check_word(name: str, value: str, accepted: Any) -> None:
    """Raise IdentityError for a value that is none of a Literal's, and name those."""
    choices: tuple[str, ...] = get_args(accepted)
    if value not in choices:
        raise IdentityError(f"{name} {value!r} is none of {', '.join(choices)}")


ROOT = Ids(0, 0)

ANONYMOUS = Ids(NOBODY, NOBODY)

DEFAULT_HOST = Ids(1000, 1000)
"""The ids of a host process that is not root, unless another user has them (tasks.model.host.host_ids)."""

_IMAGE_USER_HOSTS = {False: (0, 1000), True: (0,)}
"""Host uids for which NanoClaw passes no --user, so that the image's USER counts: without and with a session driver."""


def runs_as_image_user(host: Ids, *, driver: bool = False) -> bool:
    """Whether a container of this host process starts as the image's USER, and not as the host process's ids.

    + driver: whether NanoClaw starts its agents by a session driver (src/drivers)
    """
    return host.uid in _IMAGE_USER_HOSTS[driver]


def agent_of(host: Ids, image_user: Ids, *, driver: bool = False) -> Ids:
    """Return the ids of the agent's processes, for a host process and an image's USER."""
    return image_user if runs_as_image_user(host, driver=driver) else host


Docker = Literal["plain", "userns-remap", "rootless"]
"""What a daemon makes of the ids of a container: nothing, its range of subuid(5), or that and its own user."""

MAPPED_IDS = 65_536
"""How many ids useradd(8) gives a user in /etc/subuid and /etc/subgid, and dockerd maps."""


def on_machine(inside: Ids, docker: Docker, daemon: Ids, first: int) -> Ids:
    """Return the ids that a container's process has on the machine.

    + daemon: the ids of a rootless daemon's user, which a container's root is; its group is root's group
    + first: the first of the ids that container ids are mapped to

    Raises IdentityError for an id that is not mapped, so that no process of the container can have it.
    """
    if docker == "plain":
        return inside
    uid = _mapped("uid", inside.uid, docker, daemon.uid, first)
    return Ids(uid, _mapped("gid", inside.gid, docker, daemon.gid, first))


def _mapped(kind: str, inside: int, docker: Docker, own: int, first: int) -> int:
    if docker == "rootless" and inside == 0:
        return own
    number = inside - 1 if docker == "rootless" else inside
    if number >= MAPPED_IDS:
        raise IdentityError(
            f"{kind} {inside} is not mapped with {docker}: a container has {MAPPED_IDS} ids (subuid(5))"
        )
    return first + number


Maps = Literal["none", "root", "all"]
"""Whom a server maps."""


@dataclass(frozen=True)
class Squash:
    """How a server maps the ids that a client sends: whom, and to whom. IdentityError for an unknown `maps`."""

    maps: Maps
    anonymous: Ids = ANONYMOUS

    def __post_init__(self) -> None:
        check_word("squash", self.maps, Maps)

    def map_ids(self, ids: Ids) -> Ids:
        """Return the ids that the server acts with for a client's process."""
        if self.maps == "all":
            return self.anonymous
        if self.maps == "none":
            return ids
        return Ids(self.anonymous.uid if ids.uid == 0 else ids.uid, self.anonymous.gid if ids.gid == 0 else ids.gid)

    def options(self) -> tuple[str, ...]:
        """Return the options of exports(5) that state this squash."""
        name = {"none": "no_root_squash", "root": "root_squash", "all": "all_squash"}[self.maps]
        if self.maps == "none" or self.anonymous == ANONYMOUS:
            return (name,)
        return (name, f"anonuid={self.anonymous.uid}", f"anongid={self.anonymous.gid}")


_FLAGS = {
    "no_root_squash": ("root", False),
    "root_squash": ("root", True),
    "all_squash": ("all", True),
    "no_all_squash": ("all", False),
}
"""Options of exports(5) as the flags that exportfs sets or clears; all_squash counts whatever root_squash is."""


def squash_in_force(options: Sequence[str]) -> Squash:
    """Return what an entry of the table in force does, whatever its other options are. IdentityError as below.

    Where nobody is mapped, the anonymous ids say nothing.
    """
    squash = parse_squash([option for option in options if option.partition("=")[0] in (*_FLAGS, "anonuid", "anongid")])
    return Squash("none") if squash.maps == "none" else squash


def parse_squash(options: Sequence[str]) -> Squash:
    """Parse the squash that options of exports(5) state. Of each flag the last option counts, as in exportfs.

    Raises IdentityError, with what is accepted, for any other option.
    """
    flags = {"root": True, "all": False}
    ids = {"anonuid": NOBODY, "anongid": NOBODY}
    for option in options:
        name, _, value = option.partition("=")
        if option in _FLAGS:
            flag, state = _FLAGS[option]
            flags[flag] = state
        elif name in ids and value.isascii() and value.isdigit() and len(value) <= 10:
            ids[name] = int(value)
        else:
            raise IdentityError(f"{option!r} is none of {', '.join(_FLAGS)}, anonuid=UID, anongid=GID")
    maps: Maps = "all" if flags["all"] else "root" if flags["root"] else "none"
    return Squash(maps, Ids(ids["anonuid"], ids["anongid"]))
