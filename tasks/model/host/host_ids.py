"""The uid and gid of host processes for which host data states none: what their account has, else free numbers.

On stock images of clouds uid 1000 is a person's. An agent may have any id under squash and native, so such a host takes
numbers that nobody has there; hosts that share an export take the same ones. Their account is the memory: once it is
there, it decides.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from files.pods.machine.machine_state import IdState, MachineState
from tasks.model.access.identity import DEFAULT_HOST as DEFAULT
from tasks.model.access.identity import NOBODY, Ids
from tasks.model.fleet.plan import FleetPlan, HostPlan, Problem

CANDIDATES = (DEFAULT.uid, *range(850, 800, -1))
"""In this order. Numbers of system accounts, far from both ends, where adduser(8) and useradd(8) take theirs."""

_ROOT = "root"
_COMMON = 3


@dataclass(frozen=True)
class HostIds:
    """The ids of one host process, and why; no reason where they are the default ones."""

    ids: Ids
    reason: str | None = None


@dataclass(frozen=True)
class Chosen:
    """The choice for each host that states no uid; and numbers that machines are still to be asked for."""

    hosts: Mapping[str, HostIds]
    unknown: frozenset[int] = frozenset()

    @property
    def others(self) -> dict[str, Ids]:
        """Those of them that are not the default ones, with which a fleet is planned at first."""
        return {name: ids for name, ids in self.ids.items() if ids != DEFAULT}

    @property
    def ids(self) -> dict[str, Ids]:
        """As `plan_fleet` takes them."""
        return {name: choice.ids for name, choice in self.hosts.items()}


def states_none(plan: HostPlan) -> bool:
    """Whether the host's uid is for the role to choose."""
    return plan.settings.nanoclaw_user != _ROOT and plan.settings.nanoclaw_uid is None


def remembered(fleet: FleetPlan, server: str, table: Iterable[Sequence[str]]) -> dict[str, Ids]:
    """Return the ids that a server's table in force is for, by host.

    + table: entries of path, client, options
    """
    entries = {(path, client): options for path, client, *options in table}
    ids_by_host = {}
    for plan in fleet.hosts.values():
        if plan.server != server or not plan.source or not states_none(plan):
            continue
        options = entries.get((plan.source.path, plan.address or ""), [])
        values = dict(option.split("=", 1) for option in options if "=" in option)
        numbers = [values.get(name, "") for name in ("anonuid", "anongid")]
        if all(re.fullmatch("[1-9][0-9]{0,9}", text, re.ASCII) and int(text) < NOBODY for text in numbers):
            ids = Ids(int(numbers[0]), int(numbers[1]))
            ids_by_host[plan.name] = DEFAULT if ids == plan.image_user else ids
    return ids_by_host


def choose_host_ids(
    fleet: FleetPlan, machines: Mapping[str, MachineState | None], memory: Mapping[str, Ids] | None = None
) -> Chosen:
    """The ids of every host that states no uid.

    + fleet: plans with whatever ids; what they mount does not depend on them
    + machines: what machines of this run answered
    + memory: what servers of this run remember of hosts (`remembered`)
    """
    return _Choice(fleet, machines, memory or {}).made()


def unserved(fleet: FleetPlan, machines: Mapping[str, MachineState | None]) -> Iterable[Problem]:
    """Yield a problem for each new host with other ids than the default, where the run leaves its server out.

    + fleet: the plan with the chosen ids
    """
    for name, plan in fleet.hosts.items():
        state = machines.get(name)
        is_new = state is not None and state.account is not None and state.account.ids is None
        if is_new and states_none(plan) and plan.host_ids != DEFAULT and _is_left_out(plan.server, machines):
            text = (
                f"its user gets uid {plan.host_ids.uid} here, and {plan.server} must export for that uid: add it to "
                f"the run (--limit {plan.server}), or set nanoclaw_uid"
            )
            yield Problem(name, "nanoclaw_uid", text, "server-left-out")


def _is_left_out(server: str | None, machines: Mapping[str, MachineState | None]) -> bool:
    return server is not None and machines.get(server) is None


class _Choice:
    def __init__(
        self, fleet: FleetPlan, machines: Mapping[str, MachineState | None], memory: Mapping[str, Ids]
    ) -> None:
        self._machines, self._memory = machines, memory
        self._unknown: set[int] = set()
        self._free = {name: plan for name, plan in fleet.hosts.items() if states_none(plan)}
        self._accounts = {
            name: Ids(*state.account.ids)
            for name in self._free
            if (state := machines.get(name)) and state.account and state.account.ids
        }
        self._counted = Counter([*self._accounts.values(), *self._memory.values()])

    def made(self) -> Chosen:
        chosen: dict[str, HostIds] = {}
        groups: defaultdict[object, list[str]] = defaultdict(list)
        for name, plan in self._free.items():
            groups[plan.source or name].append(name)
        observed = {key: names for key, names in groups.items() if any(self._machines.get(name) for name in names)}
        for names in observed.values():
            made = self._of_group(names)
            self._counted.update(choice.ids for choice in made.values())
            chosen.update(made)
        for key, names in groups.items():
            if key not in observed:
                chosen.update(self._left_out(names))
        return Chosen(chosen, frozenset(self._unknown))

    def _common(self) -> list[Ids]:
        """The ids that most hosts of this fleet have."""
        often = self._counted.most_common(_COMMON)
        return [ids for ids, _number in sorted(often, key=lambda it: (-it[1], it[0] != DEFAULT))]

    def _left_out(self, names: list[str]) -> dict[str, HostIds]:
        """Of hosts that a run leaves out: what their server remembers, else the default, till a run has both."""
        ids = next((self._memory[name] for name in names if name in self._memory), DEFAULT)
        return {name: HostIds(ids, None if ids == DEFAULT else "it is not in this run") for name in names}

    def _of_group(self, names: list[str]) -> dict[str, HostIds]:
        """Of hosts that share an export, or of one that has its own."""
        plans = {name: self._free[name] for name in names}
        held = [self._accounts[name] for name in names if name in self._accounts]
        kept = [self._memory[name] for name in names if name in self._memory]
        gids = {gid for name in names if (gid := self._gid_of_group(name)) is not None}
        fresh = [Ids(number, gid) for number in CANDIDATES for gid in (*sorted(gids), number)]
        why: str | None = None
        ids = DEFAULT
        common = [] if any(_is_left_out(plan.server, self._machines) for plan in plans.values()) else self._common()
        for ids in dict.fromkeys([*held, *kept, *common, *fresh]):
            reason = self._taken(ids, [name for name in names if name not in self._accounts])
            if reason is None:
                break
            why = reason if ids == DEFAULT else why or reason
        else:
            ids = DEFAULT  # which is refused then, with who has it
        reason = None if ids == DEFAULT else why or "other hosts of this fleet have it"
        chosen = {name: HostIds(ids, reason) for name in names}
        for name in names:
            if name in self._accounts:
                own = self._accounts[name]
                text = f"the existing account {plans[name].settings.nanoclaw_user} has them"
                chosen[name] = HostIds(own, None if own == DEFAULT else text)
        return chosen

    def _gid_of_group(self, name: str) -> int | None:
        state = self._machines.get(name)
        return state.account.name_gid if state and state.account and name not in self._accounts else None

    def _taken(self, ids: Ids, names: list[str]) -> str | None:
        """Return who has one of these ids, on hosts that need them new or on their servers; None if nobody."""
        servers = {server for name in names if (server := self._free[name].server)}
        for name in sorted(servers):
            if (entry := self._entry(name, ids.uid)) and entry.person:
                return f"uid {ids.uid} is {entry.person}'s on {name}"
        for name in names:
            user, gid = self._free[name].settings.nanoclaw_user, self._free[name].settings.nanoclaw_gid
            entry, group = self._entry(name, ids.uid), self._entry(name, ids.gid)
            if entry and entry.user:
                return f"uid {ids.uid} is {entry.user}'s on {name}"
            if gid is not None:
                continue  # stated, and judged as that
            if group and group.group not in (None, user):
                return f"gid {ids.gid} is the group {group.group}'s on {name}"
            if (own := self._gid_of_group(name)) is not None and own != ids.gid:
                return f"group {user} has gid {own} on {name}"
        return None

    def _entry(self, name: str, number: int) -> IdState | None:
        """Who has a number on a machine of this run; notes it where that was not asked."""
        state = self._machines.get(name)
        if state is None:
            return None
        entry = next((entry for entry in state.ids if entry.id == number), None)
        if entry is None:
            self._unknown.add(number)
        return entry
