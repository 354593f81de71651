"""Refuse what cannot work, for the whole fleet, before anything changes on any machine."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pyinfra import logger, state
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.api.inventory import Inventory
from pyinfra.api.state import State

from files.pods.nfs.export_state import ExportState
from tasks.adoption import check_checkouts, look_at_v2
from tasks.command_line import add_role_group_data, limit_problems, only_reads
from tasks.host_ids import MachineStates, Plan
from tasks.migration import Migration, plan_migrations
from tasks.model.access.identity import Ids, Squash
from tasks.model.fleet.example_addresses import example_problems
from tasks.model.fleet.leave_out import advice, refused_hosts
from tasks.model.fleet.plan import FleetError, FleetPlan, HostPlan, Machine, Problem, ServerPlan
from tasks.model.fleet.plan_fleet import plan_fleet
from tasks.model.host.existing_directories import server_problems
from tasks.model.host.host_ids import unserved
from tasks.model.host.machine_refusals import (
    agent_uid_problems,
    guard_left_out_problems,
    guards_first,
    machine_problems,
    stops_first,
)
from tasks.model.nfs.exports import export_refusals, some
from tasks.model.nfs.nfs_versions import lacks_v3, other_clients, version_refusals
from tasks.model.sanitize import printable
from tasks.model.versions.lowest_version import old_refs
from tasks.model.versions.session_driver import expected_drivers, other_drivers
from tasks.observe_servers import observe
from tasks.questions import ask_machines
from tasks.run_context import call_after_init, run_context
from tasks.session_drivers import drivers_of
from tasks.version import Change, plan_changes


class PreflightError(PyinfraError):
    """Why the run does not begin: every problem of every machine."""

    def __init__(self, problems: Iterable[Problem | str], way_out: str = "") -> None:
        lines = [f"  {printable(problem)}" for problem in sorted({str(problem) for problem in problems})]
        super().__init__("\n".join(["nothing was changed, because:", *lines, *filter(None, [printable(way_out)])]))


@dataclass(frozen=True)
class Checked:
    """A fleet in which nothing stands in the way."""

    servers: Mapping[str, ServerPlan]
    hosts: Mapping[str, HostPlan]
    migrations: Mapping[str, Migration]
    """Of the hosts that migrate from NanoClaw v1."""
    changes: Mapping[str, Change]
    """Of the hosts that serve with another version than the desired one."""
    guards_first: frozenset[str]
    """Hosts that get their guard before their server changes."""
    stops_first: frozenset[str] = frozenset()
    """Hosts that stop NanoClaw before their server changes."""

    def guards_first_on(self, server: str) -> tuple[str, ...]:
        """Those of one server."""
        return tuple(sorted(name for name in self.guards_first if self.hosts[name].server == server))

    def stops_first_on(self, server: str) -> tuple[str, ...]:
        """Those of one server."""
        return tuple(sorted(name for name in self.stops_first if self.hosts[name].server == server))


def check_fleet() -> Checked:
    """The plans of the whole fleet; raises PreflightError with every problem of every machine.

    Host data is judged for the whole inventory, before any command is sent; machines, for those of this run,
    from facts that change nothing. Deploy code runs once for each machine: the first to come here checks them
    all. This is no operation, since a run with -y has no check phase.
    """
    return run_context().once(_check_machines, state.inventory)


def check_settings_before_connecting(new_state: State) -> None:
    """Check host data before pyinfra connects to any machine. Called by config.py."""
    call_after_init(new_state, _check_inventory)


def _check_inventory(inventory: Inventory, limit: Iterable[Host] | None) -> None:
    if unmatched := limit_problems(inventory, limit):
        raise PreflightError(unmatched)
    run_context().once(_plan, inventory)


def _plan(
    inventory: Inventory,
    observed: Mapping[str, Squash] | None = None,
    chosen: Mapping[str, Ids] | None = None,
    drivers: Mapping[str, bool] | None = None,
) -> FleetPlan:
    add_role_group_data(inventory)
    machines = [Machine(member.name, tuple(member.groups), _data(member)) for member in inventory]
    if problems := example_problems(machines):
        raise PreflightError(problems)
    try:
        fleet = plan_fleet(machines, observed, chosen, {**expected_drivers(machines), **(drivers or {})})
    except FleetError as error:
        raise PreflightError(error.problems) from None
    if old := list(old_refs(fleet)):
        raise PreflightError(old)
    return fleet


def _check_machines(inventory: Inventory) -> Checked:
    if unmatched := limit_problems(inventory):
        raise PreflightError(unmatched)
    fleet = run_context().once(_plan, inventory)
    members = [
        member
        for member in inventory
        if state.is_host_in_limit(member) and (member.name in fleet.servers or member.name in fleet.hosts)
    ]
    logger.info("--> Preflight: looking at %s machines, before anything is changed...", len(members))

    states = MachineStates(members)
    fleet = states.settle(fleet, lambda ids: _plan(inventory, None, ids, states.drivers))
    machines = states.machines
    problems = [*machine_problems(fleet, machines), *unserved(fleet, machines)]
    of_servers: list[Problem] = []
    for name, exports in states.exports.items():
        if exports and (machine := machines[name]):
            of_servers += server_problems(fleet.servers[name], fleet.hosts, machine.places, exports.dropin)
            of_servers += _export_problems(fleet, fleet.servers[name], exports, machines.keys())
    if of_servers:
        raise PreflightError([*problems, *of_servers])
    _refuse(problems, fleet, states)
    observed, problems = observe(fleet, members, only_reads=only_reads())
    _refuse(problems, fleet, states)
    fleet = _ask_hosts(lambda ids: _plan(inventory, observed, ids, states.drivers), states)
    states.say()
    for (access, reason), names in sorted(_strategies(fleet, members).items()):
        logger.info("    pods_access %s for %s: %s", access, ", ".join(names), reason)
    _refuse([*look_at_v2(fleet, members), *check_checkouts(fleet, members)], fleet, states)
    migrations, problems = plan_migrations(fleet, members, only_reads=only_reads())
    _refuse(problems, fleet, states)
    changes, problems = plan_changes(fleet, members, migrations)
    _refuse(problems, fleet, states)
    tables = {name: exports.table for name, exports in states.exports.items() if exports}
    stops = stops_first(fleet, machines, tables)
    return Checked(fleet.servers, fleet.hosts, migrations, changes, guards_first(fleet, machines), stops)


def _ask_hosts(plan: Plan, states: MachineStates) -> FleetPlan:
    """Ask machines what the run needs; again where files of a version say that its agents have other ids."""
    for _turn in range(2):
        fleet = states.settle(plan(states.chosen.ids), plan)
        _refuse(agent_uid_problems(fleet, states.machines), fleet, states)
        ask_machines(fleet, states.members)
        states.desired_drivers.update(drivers_of(fleet, states.members))
        if not other_drivers(fleet, states.desired_drivers):
            break
        states.drivers.update(states.desired_drivers)
    return fleet


def _refuse(problems: list[Problem], fleet: FleetPlan, states: MachineStates) -> None:
    """Raise PreflightError for problems of hosts, with how the others can go on, if they can."""
    if not problems:
        return
    running = {member.name for member in states.members}
    refused = refused_hosts(problems, running - fleet.servers.keys())
    others = running - refused
    blocked = any(
        exports and any(guard_left_out_problems(fleet, fleet.servers[name], exports.table, others))
        for name, exports in states.exports.items()
    )
    raise PreflightError(problems, advice(refused) if refused and others and not blocked else "")


def _export_problems(
    fleet: FleetPlan, server: ServerPlan, exports: ExportState, running: Collection[str]
) -> Iterable[Problem]:
    """What an NFS server is refused for; says who else uses it."""
    if others := other_clients(server, exports):
        logger.info("    %s: others use this NFS server: %s", server.name, some(others))
    yield from (
        Problem(server.name, "exports", text, "exports-in-the-way") for text in export_refusals(server, exports)
    )
    yield from (
        Problem(server.name, "nfs_v3", text, "nfs-versions-in-the-way") for text in version_refusals(server, exports)
    )
    yield from guard_left_out_problems(fleet, server, exports.table, running)
    for export in server.exports if lacks_v3(server, exports) else ():
        if fleet.hosts[export.host].settings.pods_nfs_version == "3":
            text = f"{server.name} serves NFSv4 only; set nfs_v3 to True there, or use '4.2'"
            yield Problem(export.host, "pods_nfs_version", text, "server-speaks-no-v3")


def _strategies(fleet: FleetPlan, members: Iterable[Host]) -> dict[tuple[str, str], list[str]]:
    """The hosts of this run by their strategy and why they have it."""
    hosts_by_reason: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for plan in (fleet.hosts[member.name] for member in members if member.name in fleet.hosts):
        hosts_by_reason[plan.strategy.name, plan.strategy.reason].append(plan.name)
    return hosts_by_reason


def _data(member: Host) -> dict[str, Any]:
    data: dict[str, Any] = member.data.dict()  # type: ignore[no-untyped-call]
    return data
