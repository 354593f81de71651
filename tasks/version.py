"""Changes of version: which hosts serve with another commit than the desired one, staging, and the switch in waves."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from pyinfra import host, logger
from pyinfra.api.deploy import deploy
from pyinfra.api.host import Host

from files.pods.service.protocol import ServiceState
from files.pods.source.protocol import CheckoutState
from files.pods.transition.protocol import Progress
from tasks.concurrent_facts import at_once
from tasks.model.fleet.plan import FleetPlan, HostPlan, Problem
from tasks.model.fleet.waves import waves
from tasks.model.host.checkout import checkout_problem, checkout_request
from tasks.model.host.service_state import service_request
from tasks.model.host.version_change import VersionChange, progress_request
from tasks.model.host.version_due import change_due, change_notes, change_problems, change_text, planned_change
from tasks.model.sanitize import printable
from tasks.operations.version import stage_version, switch_version
from tasks.replies import ask_machine

_FETCH = 300
_STAGE, _SWITCH = 3 * 3600, 2 * 3600
_KEY = "nanoclaw_ref"


@dataclass(frozen=True)
class Change:
    """A host that changes its version in this run."""

    version: VersionChange
    waves: Sequence[Sequence[str]]
    """The hosts that change, by wave."""


def plan_changes(
    fleet: FleetPlan, members: Iterable[Host], migrating: Collection[str]
) -> tuple[dict[str, Change], list[Problem]]:
    """Return the hosts that serve with another commit than the desired one, and why some of them cannot change.

    A host without a service of the role has no old version to go back to: it gets its version in place.

    + migrating: hosts that migrate from v1, which bring their version with them
    """
    hosts = [
        member
        for member in members
        if member.name in fleet.hosts
        and member.name not in migrating
        and not fleet.hosts[member.name].settings.nanoclaw_v1_rollback
    ]
    due: dict[str, VersionChange] = {}
    problems: list[Problem] = []
    for member, reply in at_once(hosts, lambda one: _read(one, fleet.hosts[one.name])):
        if reply is None:  # pyinfra leaves the machine out of the rest of the run
            continue
        change, notes, texts = reply
        problems += [Problem(member.name, _KEY, text, "change-refused") for text in texts]
        if change:
            due[member.name] = change
        for note in notes:
            logger.info("    %s: %s", member.name, printable(note))
    order = waves(fleet.hosts[name] for name in due)
    for number, names in enumerate(order, 1):
        logger.info("    wave %s of the change of version: %s", number, ", ".join(names))
    return {name: Change(change, order) for name, change in due.items()}, problems


def _read(member: Host, plan: HostPlan) -> tuple[VersionChange | None, list[str], list[str]] | None:
    """Return the change of version of a host, what it does, and why it cannot be made; None without a reply."""
    checkout: CheckoutState | None = ask_machine(member, CheckoutState, checkout_request(plan), timeout=_FETCH)
    service: ServiceState | None = ask_machine(member, ServiceState, service_request(plan), timeout=_FETCH)
    progress: Progress | None = ask_machine(member, Progress, progress_request(plan), timeout=_FETCH)
    if checkout is None or service is None or progress is None:
        return None
    if progress.under_way or not change_due(checkout, service, progress):
        return None, [], change_problems(progress, plan, None)
    checkout = ask_machine(member, CheckoutState, checkout_request(plan, peek=True), timeout=_FETCH)
    if checkout is None:
        return None
    # The run may bring another Node first; the operation checks what it finds then.
    checked = replace(checkout, node=None) if plan.settings.nanoclaw_node == "nodesource" else checkout
    if problem := checkout_problem(checked, plan):
        return None, [], [problem]
    message = f"nanoclaw-pods, {datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S} UTC, before {plan.settings.nanoclaw_ref}"
    change = planned_change(checkout, plan, message)
    notes = [change_text(change, plan), *change_notes(checkout, plan)]
    return change, notes, change_problems(progress, plan, change)


@deploy("Version")
def change_version(plan: HostPlan, change: Change) -> None:
    """Change the version of a host that serves.

    Hosts of one wave run at once; a wave starts when all hosts of the one before it serve with the new version.
    """
    stage_version(name="Stage the new version", plan=plan, change=change.version, _timeout=_STAGE)
    for number in host.loop(range(len(change.waves))):  # type: ignore[no-untyped-call]
        if host.name in change.waves[number]:
            earlier = tuple(name for names in change.waves[:number] for name in names)
            switch_version(
                name=f"Switch to the new version, wave {number + 1}",
                plan=plan,
                change=change.version,
                earlier=earlier,
                _timeout=_SWITCH,
            )
