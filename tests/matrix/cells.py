"""The cells: every combination that the model knows, on the exports of a lab."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal, get_args
from zlib import crc32

from tasks.model.access.identity import NOBODY, ROOT, Docker, Ids, Squash, agent_of
from tasks.model.access.session_lifecycle import Case, Chowner
from tasks.model.access.storage import FileSystem, Node, Storage

NAMED_USER = Ids(1000, 1000)
"""The ids of `USER node` in the lab's agent image."""
SHARED_GROUP = 3000
"""A group of the host process on its machine. On the server only uid 1500 is a member."""

Round = Literal["as installed", "broken id mapping", "manage-gids=n"]
"""A setting of the whole server or client, in the order that takes the least time."""
ROUNDS: tuple[Round, ...] = get_args(Round)
"""All rounds, in their order."""

_HOSTS = (ROOT, Ids(0, 1000), Ids(1000, 1000), Ids(1000, 100), Ids(1500, 1500), Ids(1500, 1000))
_IMAGES = {"1000:1000": Ids(1000, 1000), "1001:1001": Ids(1001, 1001), "0": ROOT, "node": NAMED_USER}
_OTHER, _NOBODY = Ids(2000, 2000), Ids(NOBODY, NOBODY)
USED = frozenset({ids.uid for ids in (*_HOSTS, *_IMAGES.values(), _OTHER, _NOBODY)})
"""The uids of the processes in cells, on their machine or on the server."""

_MODES = (0o755, 0o775, 0o700, 0o2775)
_FILE_SYSTEMS: tuple[FileSystem, ...] = get_args(FileSystem)
_CHOWNERS: tuple[Chowner, ...] = get_args(Chowner)


@dataclass(frozen=True)
class Cell:
    """A case with a name, the image's USER as it is written, and its round."""

    name: str
    user: str
    round: Round
    case: Case

    @property
    def agent(self) -> Ids:
        """The agent's ids, which are known in each cell."""
        if self.case.agent is None:
            raise ValueError(f"{self.name}: the image's USER is not known")
        return self.case.agent

    @property
    def variant(self) -> str:
        """The path of its export, named after the squash options; "local" without an export."""
        squash = self.case.storage.squash
        return "local" if squash is None else "_".join(squash.options()).replace("=", "-")


@dataclass(frozen=True)
class LeftOut:
    """Combinations without a cell: how many, and why."""

    cells: int
    case: str
    why: str


NOT_PLAIN = "the role refuses a dockerd that maps ids, and the lab's is plain"
SAME = "the agent has the ids that it has with another image, of which each as many are carried out"


def cells(server_groups: Mapping[int, frozenset[int]]) -> list[Cell]:
    """Return all cells.

    + server_groups: the groups of each uid that the server knows
    """
    cells_of_hosts = [
        *_ordinary(server_groups),
        *_with_groups("as installed", server_groups),
        *_with_groups("manage-gids=n", None),
        *_broken_mapping(server_groups),
    ]
    return [replace(cell, name=f"{number:04d}") for number, cell in enumerate(cells_of_hosts)]


def squashes(agent: Ids) -> tuple[Squash, ...]:
    """Return the squash options of exports for an agent."""
    return (
        Squash("none"),
        Squash("root"),
        Squash("root", agent),
        Squash("all", agent),
        Squash("all", _OTHER),
        Squash("all", _NOBODY),
    )


def left_out(server_groups: Mapping[int, frozenset[int]]) -> list[LeftOut]:
    """Return the combinations without a cell."""
    made = len(cells(server_groups))
    return [
        *(LeftOut(made, f"docker={mode}", NOT_PLAIN) for mode in get_args(Docker) if mode != "plain"),
        LeftOut(sum(not own for own, _ in _combinations(server_groups)), "an image with another's agent", SAME),
    ]


def _ordinary(server_groups: Mapping[int, frozenset[int]]) -> Iterator[Cell]:
    return (cell for own, cell in _combinations(server_groups) if own)


def _combinations(server_groups: Mapping[int, frozenset[int]]) -> Iterator[tuple[bool, Cell]]:
    """Yield whether a combination has a cell of its own, or is the same as another one to the kernel."""
    for host, (user, image), kind in product(_HOSTS, _IMAGES.items(), _FILE_SYSTEMS):
        agent = agent_of(host, image)
        owners = dict.fromkeys((ROOT, agent, _NOBODY))
        for squash, owner, mode in product(squashes(agent) if kind != "local" else (None,), owners, _MODES):
            storage = Storage(kind, squash, None if kind == "local" else server_groups)
            case = Case(host, image, storage, Node(owner, mode))
            # To a kernel, images with equal agents are the same: one of them is carried out, each equally often.
            number = crc32(f"{host} {agent} {kind} {squash} {case.tree}".encode())
            same = [name for name, other in _IMAGES.items() if agent_of(host, other) == agent]
            own = user == same[number // len(_CHOWNERS) % len(same)]
            yield own, Cell("", user, "as installed", replace(case, chown_by=_CHOWNERS[number % len(_CHOWNERS)]))


def _with_groups(round: Round, known: Mapping[int, frozenset[int]] | None) -> Iterator[Cell]:
    hosts = (ROOT, Ids(1000, 1000), Ids(1500, 1500))
    chowners: tuple[Chowner, ...] = ("nobody", "guard")
    for host, kind, mode, chown_by in product(hosts, _FILE_SYSTEMS, (0o755, 0o775, 0o2775), chowners):
        agent = agent_of(host, NAMED_USER)
        for squash in squashes(agent)[:4] if kind != "local" else (None,):
            storage = Storage(kind, squash, known if kind != "local" else None)
            tree = Node(Ids(0, SHARED_GROUP), mode)
            groups = frozenset({SHARED_GROUP})
            yield Cell("", "1000:1000", round, Case(host, NAMED_USER, storage, tree, groups=groups, chown_by=chown_by))


def _broken_mapping(server_groups: Mapping[int, frozenset[int]]) -> Iterator[Cell]:
    for host, user, chown_by in product(
        (ROOT, Ids(1000, 1000), Ids(1500, 1500)), ("1000:1000", "1001:1001"), _CHOWNERS
    ):
        image = _IMAGES[user]
        agent = agent_of(host, image)
        for squash, owner in product(squashes(agent), (ROOT, agent)):
            storage = Storage("nfs4", squash, server_groups, broken_mapping=True)
            yield Cell("", user, "broken id mapping", Case(host, image, storage, Node(owner, 0o755), chown_by=chown_by))
