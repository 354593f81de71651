"""The record of one host's migration: a page that is read by whoever has to know what was done, and how to go back.

It is made of the journal and of the account. Names in it were chosen by others: they are shown, and mean nothing to
what renders the page. Of secrets there are names alone, as in both sources.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone

from tasks.model.migration.audit_report import Account, Named
from tasks.model.migration.journal import Journal, State, Step
from tasks.model.migration.markdown import code, plain, table

ROLLBACK = "nanoclaw_v1_rollback"
"""The setting that puts v1 back."""

_STATES: dict[State, str] = {
    "new": "has not begun, and NanoClaw v1 serves",
    "staged": "is prepared, and NanoClaw v1 serves",
    "staging": "is being prepared, and NanoClaw v1 serves",
    "switching": "is at its switch, and nobody serves",
    "finished": "is finished, and NanoClaw v2 serves",
    "rolled back": "was rolled back, and NanoClaw v1 serves again",
}


@dataclass(frozen=True)
class Record:
    """What a page is made of."""

    journal: Journal
    account: Account | None
    """None where it did not come to that."""
    backup: str | None = None
    """Where the backup of v1 is; None where none was made."""


def page(record: Record) -> str:
    """The page, as Markdown."""
    sections = (_head, _steps, _counts, _missing, _digests, _way_back)
    return "\n\n".join("\n".join(section(record)) for section in sections) + "\n"


def _head(record: Record) -> Iterator[str]:
    journal = record.journal
    yield f"# Migration of {plain(journal.host)} from NanoClaw v1 to v2"
    yield ""
    yield f"It {_STATES[journal.state]} (attempt {journal.attempt})."
    yield ""
    versions = {name: plain(journal.versions.get(name, "of unknown version")) for name in ("v1", "v2")}
    yield f"- NanoClaw v1 {versions['v1']} in {code(journal.v1)}, run by {code(journal.unit)}"
    yield f"- NanoClaw v2 {versions['v2']} in {code(journal.root)}"
    yield f"- backup of v1: {code(record.backup) if record.backup else 'none was made'}"
    yield f"- without service: {_gap(journal)}"


def _gap(journal: Journal) -> str:
    if journal.stopped is None:
        return "never, v1 was not stopped"
    if (gap := journal.seconds_without_service) is None:
        return f"since {_time(journal.stopped)}, when v1 was stopped"
    return f"{_seconds(gap)}, from {_time(journal.stopped)} (v1 was stopped) to {_time(journal.serving)} (gate passed)"


def _steps(record: Record) -> Iterator[str]:
    yield "## Steps"
    yield ""
    heads = ("step", "state", "start", "end", "time")
    yield from table(heads, [_step(step) for step in record.journal.steps])
    said = [step for step in record.journal.steps if step.said]
    yield from ["", *(f"- {plain(step.name)} said: {code(step.said)}" for step in said)] if said else []


def _step(step: Step) -> tuple[str, ...]:
    lasted = "" if step.ended is None else _seconds(step.ended - step.started)
    return plain(step.name), step.state, _time(step.started), _time(step.ended), lasted


def _counts(record: Record) -> Iterator[str]:
    yield "## Before and after"
    yield ""
    if record.account is None:
        yield "It did not come to an account."
        return
    rows = [(plain(kind), str(count.v1), str(count.v2)) for kind, count in record.account.counts.items()]
    yield from table(("what", "in v1", "right in v2"), rows)


def _missing(record: Record) -> Iterator[str]:
    account = record.account
    yield "## Lost"
    yield ""
    yield from _named(account.lost, account.more.lost) if account else ["Not known."]
    yield ""
    yield "## Left behind"
    yield ""
    yield from _named(account.left, account.more.left) if account else ["Not known."]


def _named(things: list[Named], more: int) -> Iterator[str]:
    if not things:
        yield "Nothing."
    for thing in things:
        yield f"- {code(thing.what)}: {plain(thing.why)}"
    if more:
        yield f"- and {more} more"


def _digests(record: Record) -> Iterator[str]:
    yield "## Digests"
    yield ""
    digest = record.account.digest if record.account else None
    yield f"- v1, at rest: {code(digest) if digest else 'not taken'}"


def _way_back(record: Record) -> Iterator[str]:
    yield "## The way back"
    yield ""
    journal = record.journal
    if journal.state == "rolled back":
        yield f"It was taken. Take `{ROLLBACK}` out of the host's data before the next attempt."
    elif journal.state == "staging":
        yield "None is needed: v1 serves, and was not touched."
    else:
        yield f"Put `{ROLLBACK} = True` into the host's data and run the role once more. It stops v2, keeps v2's state"
        yield f"aside, and starts v1 as it was, in {code(journal.v1)} by {code(journal.unit)}."
        yield "What was said to v2 stays with v2."


def _time(moment: float | None) -> str:
    if moment is None:
        return ""
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def _seconds(number: float) -> str:
    return f"{number:.1f} s"
