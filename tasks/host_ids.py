"""Ask machines about ids, and again where the plan that follows needs other ids."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from pyinfra import logger
from pyinfra.api.host import Host

from files.pods.common.protocol import HostUser
from files.pods.machine.machine_state import MachineState
from files.pods.machine.protocol import PreflightRequest
from files.pods.nfs.export_state import ExportState
from tasks.concurrent_facts import at_once
from tasks.facts import Question
from tasks.model.access.identity import Ids
from tasks.model.fleet.plan import FleetPlan
from tasks.model.host.existing_directories import host_places_request, server_places_request
from tasks.model.host.host_ids import CANDIDATES, Chosen, choose_host_ids, remembered, states_none
from tasks.model.nfs.nfs_versions import exports_request
from tasks.model.sanitize import printable
from tasks.model.versions.session_driver import driver_matters, exported_drivers, other_drivers
from tasks.replies import ask_machine, ask_together

_TIMEOUT = 60
_TURNS = 4

Plan = Callable[[Mapping[str, Ids]], FleetPlan]
"""Plans the fleet with these ids of host processes."""


@dataclass
class MachineStates:
    """What the machines of a run answered, and the ids of host processes that follow where host data states none."""

    members: list[Host]
    machines: dict[str, MachineState | None] = field(default_factory=dict)
    exports: dict[str, ExportState | None] = field(default_factory=dict)
    chosen: Chosen = field(default_factory=lambda: Chosen({}))
    desired_drivers: dict[str, bool] = field(default_factory=dict)
    """Whether the versions to come have a session driver, by their files."""
    drivers: dict[str, bool] = field(default_factory=dict)
    """The same, or else of what is checked out, or else of what a server exports for."""
    _requests: dict[str, PreflightRequest] = field(default_factory=dict)

    def settle(self, fleet: FleetPlan, plan: Plan) -> FleetPlan:
        """The plan that rests on what the machines answer to it: an account's uid decides what else is asked."""
        for _turn in range(_TURNS):
            due = [member for member in self.members if self._request(fleet, member) != self._requests.get(member.name)]
            if not due:
                break
            self._ask(fleet, due)
            memory: dict[str, Ids] = {}
            for name, state in self.exports.items():
                memory |= remembered(fleet, name, state.table) if state else {}
            before, self.chosen = self.chosen, choose_host_ids(fleet, self.machines, memory)
            self.drivers = self._drivers(fleet)
            if before.others != self.chosen.others or other_drivers(fleet, self.drivers):
                fleet = plan(self.chosen.ids)
        return fleet

    def _drivers(self, fleet: FleetPlan) -> dict[str, bool]:
        exported: dict[str, bool] = {}
        for name, exports in self.exports.items():
            exported |= exported_drivers(fleet, name, exports.table) if exports else {}
        states = {name: state.driver for name, state in self.machines.items() if state}
        checked_out = {name: driver for name, driver in states.items() if driver is not None}
        return {**exported, **checked_out, **self.desired_drivers}

    def _ask(self, fleet: FleetPlan, due: Iterable[Host]) -> None:
        def ask_one(member: Host) -> tuple[MachineState | None, ExportState | None]:
            questions = [Question(MachineState, self._request(fleet, member))]
            if member.name in fleet.servers:
                questions.append(Question(ExportState, exports_request(fleet.servers[member.name])))
            ask_together(member, questions, _TIMEOUT)
            machine = ask_machine(member, MachineState, self._request(fleet, member), timeout=_TIMEOUT)
            exports = self.exports.get(member.name)
            if machine and member.name in fleet.servers and exports is None:
                exports = ask_machine(
                    member, ExportState, exports_request(fleet.servers[member.name]), timeout=_TIMEOUT
                )
            return machine, exports

        for member, reply in at_once(due, ask_one):
            self._requests[member.name] = self._request(fleet, member)
            self.machines[member.name], self.exports[member.name] = reply or (None, None)

    def _request(self, fleet: FleetPlan, member: Host) -> PreflightRequest:
        numbers = (*sorted(self.chosen.unknown - set(CANDIDATES)), *CANDIDATES)
        plan = fleet.hosts.get(member.name)
        if plan is None:
            needed = any(states_none(host) for host in fleet.hosts.values() if host.server == member.name)
            places = server_places_request(fleet.servers[member.name], fleet.hosts)
            return PreflightRequest([], None, None, ["/var"], places, numbers if needed else ())
        return PreflightRequest(
            paths=[plan.settings.pods_path, *(target for _source, target in plan.binds)],
            account=HostUser(**plan.host_user),
            agent=plan.stored_agent.uid,
            space=["/var", plan.root],
            places=host_places_request(plan),
            ids=numbers if states_none(plan) else (),
            user=plan.settings.nanoclaw_user if states_none(plan) else None,
            root=plan.root if driver_matters(plan) else None,
        )

    def say(self) -> None:
        """Print which ids were chosen for the hosts of this run, and why, where they are not the default ones."""
        names_by_choice: defaultdict[tuple[Ids, str], list[str]] = defaultdict(list)
        for member in self.members:
            choice = self.chosen.hosts.get(member.name)
            if choice and choice.reason:
                names_by_choice[choice.ids, choice.reason].append(member.name)
        for (ids, reason), names in sorted(names_by_choice.items(), key=lambda it: it[1]):
            line = f"nanoclaw_uid {ids.uid} and nanoclaw_gid {ids.gid} for {', '.join(names)}: {reason}"
            logger.info("    %s", printable(line))
