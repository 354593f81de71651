"""The record of one host's migration: a page that says what was done, and how to roll back.

Its sources are the journal and the audit. Names in it were chosen by others, so they are escaped as Markdown. Of
secrets both sources have only names.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone

from files.pods.transition.documents import Journal, JournalStep, State
from files.pods.v1.audit.protocol import AuditReport, Finding
from tasks.model.migration.markdown import code, plain, table

ROLLBACK = "nanoclaw_v1_rollback"
"""The setting that rolls back to v1."""

_STATES: dict[State, str] = {
    "new": "has not started, and NanoClaw v1 serves",
    "staged": "is prepared, and NanoClaw v1 serves",
    "staging": "is being prepared, and NanoClaw v1 serves",
    "switching": "is at its switch, and neither version serves",
    "finished": "is finished, and NanoClaw v2 serves",
    "rolled back": "was rolled back, and NanoClaw v1 serves again",
}


@dataclass(frozen=True)
class Record:
    """Combine the sources of a page."""

    journal: Journal
    audit: AuditReport | None
    """None if the migration ended before its audit."""
    backup: str | None = None
    """Path of the backup of v1; None if none was made."""


def page(record: Record) -> str:
    """Render the page as Markdown."""
    sections = (_head, _steps, _counts, _missing, _digests, _rollback)
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
    yield f"- without service: {_without_service(journal)}"


def _without_service(journal: Journal) -> str:
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
    with_output = [step for step in record.journal.steps if step.output]
    yield from (
        ["", *(f"- output of {plain(step.name)}: {code(step.output)}" for step in with_output)] if with_output else []
    )


def _step(step: JournalStep) -> tuple[str, ...]:
    lasted = "" if step.ended is None else _seconds(step.ended - step.started)
    return plain(step.name), step.state, _time(step.started), _time(step.ended), lasted


def _counts(record: Record) -> Iterator[str]:
    yield "## Before and after"
    yield ""
    if record.audit is None:
        yield "No audit was made."
        return
    rows = [(plain(kind), str(count.v1), str(count.v2)) for kind, count in record.audit.counts.items()]
    yield from table(("what", "in v1", "right in v2"), rows)


def _missing(record: Record) -> Iterator[str]:
    audit = record.audit
    yield "## Lost"
    yield ""
    yield from _findings(audit.lost, audit.more.lost) if audit else ["Not known."]
    yield ""
    yield "## Skipped"
    yield ""
    yield from _findings(audit.left, audit.more.left) if audit else ["Not known."]


def _findings(findings: list[Finding], more: int) -> Iterator[str]:
    if not findings:
        yield "Nothing."
    for finding in findings:
        yield f"- {code(finding.what)}: {plain(finding.why)}"
    if more:
        yield f"- and {more} more"


def _digests(record: Record) -> Iterator[str]:
    yield "## Digests"
    yield ""
    digest = record.audit.digest if record.audit else None
    yield f"- v1, at rest: {code(digest) if digest else 'not taken'}"


def _rollback(record: Record) -> Iterator[str]:
    yield "## Rollback"
    yield ""
    journal = record.journal
    if journal.state == "rolled back":
        yield f"It was done. Remove `{ROLLBACK}` from the host's data before the next attempt."
    elif journal.state == "staging":
        yield "Not needed: v1 serves, and was not changed."
    else:
        yield f"Set `{ROLLBACK} = True` in the host's data and run the role again. It stops v2, keeps v2's files,"
        yield f"and starts v1 as it was, in {code(journal.v1)} by {code(journal.unit)}."
        yield "Messages since the migration stay in v2."


def _time(moment: float | None) -> str:
    if moment is None:
        return ""
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def _seconds(number: float) -> str:
    return f"{number:.1f} s"
