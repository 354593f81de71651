"""From host data to plans: `plan_fleet` is the one entry.

It checks every machine's settings, then what must hold between machines, and returns either the plans or
every error of the whole fleet at once.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from files.pods.nfs.protocol import EXPORT_OPTIONS
from tasks.model.access.identity import Ids, Squash
from tasks.model.fleet.checks import check_settings
from tasks.model.fleet.conflicts import ADDRESSES, conflicts, identities
from tasks.model.fleet.host_draft import HostDraft
from tasks.model.fleet.machine_addresses import Directory
from tasks.model.fleet.plan import HOSTS, SERVERS, Export, FleetError, FleetPlan, HostPlan, Machine, Problem, ServerPlan
from tasks.model.fleet.server_draft import RefusedError, ServerDraft, known
from tasks.model.fleet.settings import HostSettings, ServerSettings, WrongSettingError

S = TypeVar("S")


def plan_fleet(
    machines: list[Machine],
    observed: Mapping[str, Squash] | None = None,
    chosen: Mapping[str, Ids] | None = None,
    drivers: Mapping[str, bool] | None = None,
) -> FleetPlan:
    """The plan of every machine, or a FleetError with every problem of all of them.

    `observed`: what servers that the role does not manage were seen to do, by the host that saw it. `chosen`: the ids
    of host processes for which host data states none, by host (tasks.model.host.host_ids). `drivers`: whether hosts
    start their agents by a session driver (tasks.model.versions.session_driver).

    Takes the whole inventory, also when a run is limited to a part of it: an export table must hold the
    hosts that are left out, and no two hosts may share a tree.
    """
    problems: list[Problem] = []
    checked: list[tuple[Machine, ServerSettings | HostSettings]] = []
    for machine in machines:
        settings, problems_of_machine = check_settings(machine)
        problems += problems_of_machine
        if settings is not None:
            checked.append((machine, settings))
    if not any({SERVERS, HOSTS} & set(machine.groups) for machine in machines):
        text = f"no machine is in {SERVERS} or {HOSTS}, the groups that the role works on"
        problems.append(Problem("inventory", "groups", text, "no-machine"))

    servers = [ServerDraft(machine, settings) for machine, settings in checked if isinstance(settings, ServerSettings)]
    drafts: dict[str, ServerDraft | None] = {machine.name: None for machine in machines if SERVERS in machine.groups}
    drafts.update((server.name, server) for server in servers)
    directory = Directory(machines)
    directory.unaddressed = tuple(
        name for name, server in drafts.items() if not (server and known(server, lambda server: server.address))
    )
    hosts = [
        HostDraft(
            machine,
            settings,
            drafts,
            directory,
            (observed or {}).get(machine.name),
            (chosen or {}).get(machine.name),
            driver=(drivers or {}).get(machine.name, False),
        )
        for machine, settings in checked
        if isinstance(settings, HostSettings)
    ]
    for server in servers:
        problems += _refusals(server, (lambda server: server.address,))
    for host in hosts:
        problems += _refusals(host, _HOST_QUESTIONS)
    problems += conflicts(servers, hosts)
    problems += identities(machines, {problem.machine for problem in problems if problem.key in ADDRESSES})
    if problems:
        raise FleetError(problems)

    plans = {host.name: host.plan() for host in hosts}
    of_server: defaultdict[str, list[HostPlan]] = defaultdict(list)
    for plan in plans.values():
        of_server[plan.server or ""].append(plan)
    return FleetPlan({server.name: _server_plan(server, of_server[server.name]) for server in servers}, plans)


_HOST_QUESTIONS: tuple[Callable[[HostDraft], object], ...] = (
    lambda host: host.host_ids,
    lambda host: host.source,
    lambda host: host.address,
    lambda host: host.stated_squash,
    lambda host: host.strategy,
)


def _refusals(subject: S, questions: tuple[Callable[[S], object], ...]) -> Iterator[Problem]:
    for question in questions:
        try:
            question(subject)
        except RefusedError as refused:
            yield refused.problem
        except WrongSettingError:
            continue


def _server_plan(server: ServerDraft, hosts: list[HostPlan]) -> ServerPlan:
    exports = [
        Export(
            path=host.source.path,
            client=host.address,
            options=(*EXPORT_OPTIONS, *host.squash.options()),
            owner=host.strategy.tree_owner(host.stored_agent),
            host=host.name,
            writers=(host.host_ids, host.agent),
            holds_root=host.root_on_pods,
        )
        for host in hosts
        if host.source and host.address and host.squash
    ]
    exports.sort(key=lambda export: (export.path, export.client))
    return ServerPlan(server.name, server.settings, server.address, tuple(exports))
