"""What a check phase foresees: each operation looks at its machine before earlier ones of the run have changed it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal
from weakref import WeakKeyDictionary

from pyinfra import state
from pyinfra.api.host import Host
from pyinfra.context import ctx_host

from tasks.model.access.identity import Ids
from tasks.model.ownership.owners import Place

Coming = Literal["source", "container", "database", "build", "image", "environment", "record"]

_coming: WeakKeyDictionary[Host, set[Coming]] = WeakKeyDictionary()
_chowned: WeakKeyDictionary[Host, tuple[frozenset[int], Ids]] = WeakKeyDictionary()


def foresee(coming: Coming) -> None:
    """Notes that this machine is going to have a new one. To be called before an operation's first command."""
    if not state.is_executing:
        _coming.setdefault(_machine(), set()).add(coming)


def foreseen(*coming: Coming) -> bool:
    """Whether an earlier operation noted one of these. Never while a run executes: then the machine itself says it."""
    return not state.is_executing and not _coming.get(_machine(), set()).isdisjoint(coming)


def foresee_chown(uids: frozenset[int], owner: Ids) -> None:
    """Notes that what these users have in the project root is going to be the owner's."""
    if not state.is_executing:
        _chowned[_machine()] = uids, owner


def chowned(places: Mapping[str, Place]) -> dict[str, Place]:
    """Places of the project root as later operations of the run find them, once the checkout has its new owner."""
    uids, owner = _chowned.get(_machine(), (frozenset(), None)) if not state.is_executing else (frozenset(), None)
    return {
        path: replace(place, uid=owner.uid, gid=owner.gid) if owner and place.uid in uids else place
        for path, place in places.items()
    }


def _machine() -> Host:
    machine: Host = ctx_host.get()  # type: ignore[no-untyped-call]
    return machine
