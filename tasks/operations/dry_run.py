"""What a check phase expects: each operation looks at its machine before earlier ones of the run have changed it."""

from collections.abc import Mapping
from dataclasses import replace

from pyinfra import host, state

from files.pods.common.protocol import Place
from tasks.model.access.identity import Ids
from tasks.run_context import Pending, run_context


def mark_pending(pending: Pending) -> None:
    """Note that an operation is going to replace this. To be called before its first command."""
    if not state.is_executing:
        run_context().pending[host.name].add(pending)


def is_pending(*pending: Pending) -> bool:
    """Whether an earlier operation noted one of these. Never while a run executes: then the machine itself says it."""
    return not state.is_executing and not run_context().pending[host.name].isdisjoint(pending)


def mark_pending_owner(uids: frozenset[int], owner: Ids) -> None:
    """Note that entries of these users in the project root are going to be chowned to the owner."""
    if not state.is_executing:
        run_context().pending_owners[host.name] = uids, owner


def with_pending_owners(places: Mapping[str, Place]) -> dict[str, Place]:
    """Places of the project root as later operations of the run find them, once the checkout has its new owner."""
    if state.is_executing or host.name not in run_context().pending_owners:
        return dict(places)
    uids, owner = run_context().pending_owners[host.name]
    return {
        path: replace(place, uid=owner.uid, gid=owner.gid) if place.uid in uids else place
        for path, place in places.items()
    }
