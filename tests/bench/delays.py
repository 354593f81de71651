"""From when entries were created and last changed on the server: how long new sessions were not the agent's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tests.bench.figures import spread

WINDOW = 0.3
"""Seconds from a session's creation to its container's first write, at the least; it can be 2."""


@dataclass(frozen=True)
class Entry:
    """An entry of a session, by the server's clock. Its owner was set at `changed` or before."""

    session: str
    created: float
    changed: float
    right: bool


def entries(listing: str, agent: int) -> list[Entry]:
    """From lines of `stat --printf '%.9W %.9Z %u %n\\n'` of all that is below `.`, where each session is."""
    listed = []
    for line in listing.splitlines():
        created, changed, uid, path = line.split(" ", 3)
        listed.append(Entry(path.split("/")[1], float(created), float(changed), int(uid) == agent))
    return listed


def is_late(entry: Entry, made: float) -> bool:
    """Whether an entry was not the agent's WINDOW after its creation.

    Only what was set after all of its session had been made counts: before that, the last change may be of the one who
    makes it, and its agent cannot run yet.
    """
    return not entry.right or entry.changed > max(entry.created + WINDOW, made)


def delays(entries: Iterable[Entry], made: Mapping[str, float], *, moved: bool = False) -> dict[str, Any]:
    """What the sessions in `made` (when each was whole) went through.

    failed_sessions: has an entry that is late (is_late). failed_after_made: has one that was not the agent's WINDOW
    after the whole session had been made, before which NanoClaw starts no container.

    + moved: they were moved in, whole; for the guard they were created then
    """
    by_session: dict[str, list[Entry]] = {}
    for entry in entries:
        created = made.get(entry.session, entry.created) if moved else entry.created
        by_session.setdefault(entry.session, []).append(replace(entry, created=created))
    sessions = {name: by_session[name] for name in made}
    ends = {name: max(entry.changed for entry in of) for name, of in sessions.items()}
    begins = {name: min(entry.created for entry in of) for name, of in sessions.items()}
    late = {name: sum(is_late(entry, made[name]) for entry in of) for name, of in sessions.items()}
    wrong = {name: not all(entry.right for entry in of) for name, of in sessions.items()}
    return {
        "sessions": len(sessions),
        "from_mkdir_to_last_chown": spread([ends[name] - begins[name] for name in sessions]),
        "of_which_making_it": spread([made[name] - begins[name] for name in sessions]),
        "after_it_was_made": spread([max(0.0, ends[name] - made[name]) for name in sessions]),
        "failed_sessions": sum(map(bool, late.values())),
        "failed_after_made": sum(wrong[name] or ends[name] > made[name] + WINDOW for name in sessions),
        "late_entries": sum(late.values()),
        "not_given_yet": sum(not entry.right for of in sessions.values() for entry in of),
    }
