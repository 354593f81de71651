"""NanoClaw v1 to v2: the plan of each host with nanoclaw_v1_dir, then staging, and the switch in waves."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyinfra import host, logger
from pyinfra.api.deploy import deploy
from pyinfra.api.host import Host

from files.pods.transition.protocol import Progress
from files.pods.v1.protocol import InspectRequest, SpaceRequest
from files.pods.v1.v1_state import Install, V1State
from tasks.command_line import fleet_directory
from tasks.concurrent_facts import at_once
from tasks.model.fleet.plan import FleetPlan, HostPlan, Problem
from tasks.model.fleet.settings import AUTO
from tasks.model.fleet.system_paths import STATE_DIRECTORY
from tasks.model.fleet.waves import waves
from tasks.model.migration.disk_space import Need
from tasks.model.migration.paths import is_staged, progress_request
from tasks.model.migration.plan import MigrationPlan, plan_migration
from tasks.model.migration.plan_text import render
from tasks.model.migration.refusals import KEY, plan_refusal, progress_refusal, refusals, rollback_refusals
from tasks.model.sanitize import printable
from tasks.operations.checkout import build
from tasks.operations.migration import install_channels, record, roll_back, stage, switch
from tasks.replies import ask_machine
from tasks.source import WORK_SECONDS

_SECONDS = 240
_TIMEOUT = 480
_CHANNELS = 2100
_STAGE = 26 * 3600
_SWITCH = 10 * 3600


@dataclass(frozen=True)
class Migration:
    """A host that migrates, or rolls back."""

    install: Install
    waves: Sequence[Sequence[str]] = ()
    """The hosts that this run migrates, by wave."""
    unseen: Sequence[Need] = ()
    """Space that it needs where nothing is mounted yet."""


def plan_migrations(
    fleet: FleetPlan, members: Iterable[Host], *, only_reads: bool
) -> tuple[dict[str, Migration], list[Problem]]:
    """Inspect NanoClaw v1 on each host with the setting, print the plans, and return migrations and problems.

    A host with a committed v2 is skipped, unless its data requests a rollback.
    """
    problems: list[Problem] = []
    installs: dict[str, Install] = {}
    unseen: dict[str, list[Need]] = {}
    migrating = _migrating(fleet, members)
    for member, answers in at_once(migrating.values(), lambda one: _look(one, fleet.hosts[one.name])):
        plan = fleet.hosts[member.name]
        progress, v1 = answers or (None, None)
        if progress is None:
            problems.append(
                Problem(
                    member.name,
                    KEY,
                    "this machine did not report how far its migration is: correct its error above, then run again",
                    "no-progress",
                )
            )
        elif progress.decided and not plan.settings.nanoclaw_v1_rollback:
            continue
        elif (refusal := plan_refusal(v1, plan)) or v1 is None or v1.install is None:
            problems.append(Problem(member.name, KEY, str(refusal), "v1-unfit"))
        else:
            installs[member.name] = v1.install
            if plan.settings.nanoclaw_v1_rollback:
                if progress.needs_rollback:
                    against = rollback_refusals(v1.install, plan)
                    problems += [Problem(member.name, KEY, str(one), "rollback-refused") for one in against]
            else:
                planned = plan_migration(v1.install, v1.spaces, plan, staged=is_staged(progress, v1.install))
                unseen[member.name] = [need for need in planned.needs if need.free is None]
                _report_plan(plan, v1, v1.install, planned)
                problems += _refusals(plan, progress, v1.install, planned)
    order = waves(fleet.hosts[name] for name in installs if not fleet.hosts[name].settings.nanoclaw_v1_rollback)
    for number, names in enumerate(order, 1):
        logger.info("    wave %s of the migration: %s", number, ", ".join(names))
    if migrating and not problems and not only_reads:
        _write_hosts_left([name for wave in order for name in wave], migrating)
    return {name: Migration(install, order, unseen.get(name, ())) for name, install in installs.items()}, problems


def _left_file() -> Path:
    """Return the file that lists hosts that are not migrated, one a line; by default beside the inventory."""
    return Path(os.environ.get("NANOCLAW_PODS_LEFT") or fleet_directory() / "migration-left.txt").absolute()


def _write_hosts_left(left: Sequence[str], of_this_run: Iterable[str]) -> None:
    """Write down which hosts are not migrated yet. Those that this run does not look at stay on the list."""
    file = _left_file()
    before = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    names = [*left, *(name for name in before if name not in of_this_run)]
    if names != before:
        file.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def _report_plan(plan: HostPlan, state: V1State, install: Install, planned: MigrationPlan) -> None:
    """Print what the migration of a host does."""
    for line in render(state, install, planned):
        logger.info("    %s: %s", plan.name, printable(line))


def _refusals(plan: HostPlan, progress: Progress, install: Install, planned: MigrationPlan) -> list[Problem]:
    """Return why a host cannot be migrated."""
    against = [*refusals(install, planned, plan), *progress_refusal(progress, plan)]
    return [Problem(plan.name, KEY, str(refusal), "migration-refused") for refusal in against]


def _migrating(fleet: FleetPlan, members: Iterable[Host]) -> dict[str, Host]:
    hosts = fleet.hosts
    return {
        member.name: member
        for member in members
        if member.name in hosts and hosts[member.name].settings.nanoclaw_v1_dir is not None
    }


def _look(member: Host, plan: HostPlan) -> tuple[Progress | None, V1State | None]:
    progress: Progress | None = ask_machine(member, Progress, progress_request(plan), timeout=60)
    if progress is None or (progress.decided and not plan.settings.nanoclaw_v1_rollback):
        return progress, None
    mount = plan.settings.pods_path if plan.source else None
    request = InspectRequest(
        dir=plan.settings.nanoclaw_v1_dir or AUTO,
        root=plan.root,
        uid=plan.host_ids.uid,
        space=[
            SpaceRequest(plan.root, mount if plan.root_on_pods else None),
            SpaceRequest(plan.settings.pods_path, mount),
            SpaceRequest(STATE_DIRECTORY, None),
        ],
        seconds=_SECONDS,
    )
    return progress, ask_machine(member, V1State, request, timeout=_TIMEOUT)


@deploy("Migration")
def migrate_v1(plan: HostPlan, migration: Migration) -> None:
    """Migrate a host from NanoClaw v1 to v2, which is installed and has never been started.

    Hosts of one wave run at once; a wave starts when all hosts of the one before it serve with v2.
    """
    v1 = migration.install
    install_channels(name="Install the channels of v1", plan=plan, install=v1, _timeout=_CHANNELS)
    build(name="Build NanoClaw with its channels", plan=plan, _timeout=WORK_SECONDS)
    stage(name="Stage v2 beside v1", plan=plan, install=v1, unseen=migration.unseen, _timeout=_STAGE)
    for number in host.loop(range(len(migration.waves))):  # type: ignore[no-untyped-call]
        if host.name in migration.waves[number]:
            earlier = tuple(name for names in migration.waves[:number] for name in names)
            switch(
                name=f"Switch to v2, wave {number + 1}",
                plan=plan,
                install=v1,
                earlier=earlier,
                left=str(_left_file()),
                _timeout=_SWITCH,
            )


@deploy("Rollback")
def roll_back_to_v1(plan: HostPlan, migration: Migration) -> None:
    """Roll a migrated host back to its v1."""
    roll_back(name="Stop v2 and start v1", plan=plan, install=migration.install, _timeout=900)


@deploy("Migration")
def record_migration(plan: HostPlan) -> None:
    """Keep the record of a host's last migration, also of one that ended while no run watched."""
    record(name="Keep the record of the migration", plan=plan, _timeout=60)
