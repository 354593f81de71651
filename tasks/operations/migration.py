"""The migration of a NanoClaw v1: staging while v1 serves, the switch, the way back. pyinfra has nothing for it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from pyinfra import host, state
from pyinfra.api import StringCommand
from pyinfra.api.exceptions import OperationError

from files.pods.common.protocol import decode
from files.pods.transition.documents import Head, Journal
from files.pods.transition.protocol import ChannelsRequest, Progress
from files.pods.transition.step_ids import StepId
from files.pods.v1.audit.protocol import AuditReport
from files.pods.v1.v1_state import Install
from tasks.command import run_request, write_file
from tasks.model.fleet.plan import HostPlan
from tasks.model.host.step import Part
from tasks.model.migration.disk_space import Need
from tasks.model.migration.paths import chats_digest, directory, marker, progress_request, service, trying
from tasks.model.migration.record import Record, page
from tasks.model.migration.steps import channels, rollback, rollback_request, steps
from tasks.operations.base import Commands, lasting_operation, pods_operation, read_state
from tasks.operations.dry_run import is_pending, mark_pending
from tasks.operations.machine_work import Places, run_part
from tasks.operations.verify import probe_request
from tasks.operations.waves import require_earlier_waves
from tasks.report import say
from tasks.run_context import run_context


def _read_state(plan: HostPlan) -> Progress:
    return read_state(Progress, progress_request(plan))


@pods_operation
def install_channels(plan: HostPlan, install: Install) -> Commands:
    """Install the channels of v1's chats into v2's checkout, with NanoClaw's own scripts.

    Owns: nothing; the scripts change the checkout. Leaves alone: channels that are installed. Changes: until v2 is
    committed. Errors: a version of v2 without a channel; a script that does not report its channel as installed.
    """
    names = channels(install)
    if not names or _read_state(plan).decided:
        host.noop("no channel has to be installed")
        return
    yield run_request(ChannelsRequest(root=plan.root, lock=plan.lock, channels=names, **plan.host_user))


@pods_operation
def stage(plan: HostPlan, install: Install, unseen: Sequence[Need] = ()) -> Commands:
    """Stage v2 beside a NanoClaw v1 that serves: backup, first conversion, first copy.

    Owns: /var/lib/nanoclaw-pods/<unit>.migration (journal, backup, record), the snapshot of v1, a drop-in for each of
    the two units with conditions of their start, groups, sessions and database of v2. Leaves alone: v1's tree,
    its unit file, its running process. Changes: until v2 is committed, on every run.
    Errors: a step that fails, with its output; v1 continues to serve.

    + unseen: space needed where nothing was mounted when the run began
    """
    if _read_state(plan).decided:
        host.noop("v2 has taken over from v1")
        return
    yield _run("staging", plan, install, unseen)


@lasting_operation
def switch(plan: HostPlan, install: Install, *, earlier: tuple[str, ...], left: str) -> Commands:
    """Stop v1, convert its data, start v2 and test it; roll back to v1 where any of that fails.

    Owns: which of the two units may start. Leaves alone: v1's tree. Changes: until v2 is committed.
    Errors: a step that failed, with its output; v1 runs again then, and the next run migrates again. A failed host of
    an earlier wave: this host does not change. The machine completes the switch by itself, so the end of this run does
    not interrupt it.

    + earlier: hosts that must be migrated before this one
    + left: the file, on this machine, that lists the hosts that are not migrated yet
    """
    if _read_state(plan).decided:
        run_context().migrated.add(plan.name)
        _mark_done(left, plan.name)
        host.noop("v2 has taken over from v1")
        return
    require_earlier_waves(earlier, "not migrated, v1 continues to serve", "v2")
    mark_pending("record")
    yield _run("switching", plan, install)
    done = _read_state(plan)
    if state.is_executing:
        if done.journal is None or not done.decided:
            raise OperationError(f"the switch has ended, and v2 was not committed: see {directory(plan)}/journal.json")
        run_context().migrated.add(plan.name)
        _mark_done(left, plan.name)


@lasting_operation
def roll_back(plan: HostPlan, install: Install) -> Commands:
    """Roll back to the v1 of a host that was migrated: stop v2, keep its files, start v1.

    Owns: which of the two units may start. Leaves alone: v2's files and v1's. Changes: while v2 starts, and while
    neither does. Errors: a v1 that does not stay up; a v2 that was committed then continues to serve.
    """
    current = _read_state(plan)
    if current.under_way:
        raise OperationError(
            f"a migration is under way: wait for its end (systemctl status {service(plan)}) and run again"
        )
    if not current.needs_rollback:
        host.noop("v1 starts, and there is nothing to roll back")
        return
    say(f"{plan.unit} stops, and v1 in {install.path} runs again; messages since the migration stay in v2")
    mark_pending("record")
    request, journal = rollback_request(plan, install), f"{directory(plan)}/journal.json"
    yield run_request(replace(request, start=True, serves=current.decided, journal=journal))


@lasting_operation
def record(plan: HostPlan) -> Commands:
    """Write the record of a migration that has ended, or of its rollback: as JSON, and as a page to read.

    Owns: record.json and record.md in /var/lib/nanoclaw-pods/<unit>.migration, mode 0600; the state in the journal, if
    the machine went down between the commit and that entry. Leaves alone: all else. Changes: when the record does not
    match the journal, as after a run that lost its connection.
    """
    current = _read_state(plan)
    journal = current.journal
    if journal and journal.state == "switching" and current.decided and not current.under_way:
        # The machine went down between the decision and its note.
        journal = replace(journal, state="finished")
        yield write_file(f"{directory(plan)}/journal.json", json.dumps(asdict(journal), indent=1) + "\n", mode="0600")
    ended = journal is not None and journal.state in ("finished", "rolled back") and not current.under_way
    if is_pending("record"):
        yield from _records("the journal after this run", "\n", plan)
    elif journal is None or not ended or current.recorded:
        host.noop("the record is that of the last migration" if ended else "no migration has ended")
    else:
        yield from _records(json.dumps(asdict(journal), indent=1), page(_record(journal, plan)), plan)


def _run(part: Part, plan: HostPlan, install: Install, unseen: Sequence[Need] = ()) -> StringCommand:
    head = Head(
        host=plan.name,
        v1=install.path,
        root=plan.root,
        unit=install.units[0].name if install.units else "no unit",
        chats=chats_digest(install),
        versions={"v1": install.version or "of unknown version", "v2": plan.settings.nanoclaw_ref},
    )
    places = Places(directory(plan), service(plan), marker(plan), trying(plan))
    return run_part(
        part,
        head,
        lambda probe, _back: steps(part, plan, install, probe, unseen),
        rollback(plan, install),
        places,
        probe_request(plan),
    )


def _records(document: str, text: str, plan: HostPlan) -> Commands:
    yield write_file(f"{directory(plan)}/record.md", text, mode="0600")
    yield write_file(f"{directory(plan)}/record.json", document + "\n", mode="0600")


def _record(journal: Journal, plan: HostPlan) -> Record:
    outputs = {step.id: step.output for step in journal.steps}
    printed = outputs.get(StepId.AUDIT)
    audit = decode(AuditReport, json.loads(printed), "the audit", exact=False) if printed is not None else None
    return Record(journal, audit, backup=f"{directory(plan)}/backup/messages.db")


def _mark_done(left: str, name: str) -> None:
    """Remove a host from the list of those that are not migrated yet."""
    path = Path(left)
    if state.is_executing and path.exists():
        names = [line for line in path.read_text(encoding="utf-8").splitlines() if line != name]
        path.write_text("".join(f"{line}\n" for line in names), encoding="utf-8")
