"""NanoClaw v1 to v2: for now the plan, of the hosts whose data asks for a migration."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pyinfra import logger
from pyinfra.api.config import Config
from pyinfra.api.host import Host

from tasks.facts.v1_install import V1Install
from tasks.looks import at_once
from tasks.model.migration.plan import plan_migration
from tasks.model.migration.refusals import KEY, PLANS_ONLY, refusals, unplanned
from tasks.model.migration.words import lines
from tasks.model.plan import FleetPlan, HostPlan, Problem

_SECONDS = 240
_TIMEOUT = 480


def not_carried_out(fleet: FleetPlan, members: Iterable[Host]) -> list[Problem]:
    """Why a run that would change machines is refused: no release migrates yet."""
    return [Problem(name, KEY, PLANS_ONLY) for name in _migrating(fleet, members)]


def show_plans(fleet: FleetPlan, members: Iterable[Host], run: Config) -> list[Problem]:
    """Looks at NanoClaw v1 where host data asks for its migration, prints the plans, and returns what is in the way."""
    asked = _migrating(fleet, members)
    found = at_once(asked.values(), run, lambda member: _look(member, fleet.hosts[member.name]))
    problems: list[Problem] = []
    for member, state in found:
        host = fleet.hosts[member.name]
        if (refusal := unplanned(state, host)) or state is None or state.install is None:
            problems.append(Problem(member.name, KEY, str(refusal)))
            continue
        plan = plan_migration(state.install, state.spaces, host)
        for line in lines(state, state.install, plan):
            logger.info("    %s: %s", member.name, line)
        problems += [Problem(member.name, KEY, str(refusal)) for refusal in refusals(state.install, plan)]
    return problems


def _migrating(fleet: FleetPlan, members: Iterable[Host]) -> dict[str, Host]:
    hosts = fleet.hosts
    return {
        member.name: member
        for member in members
        if member.name in hosts and hosts[member.name].settings.nanoclaw_v1_dir is not None
    }


def _look(member: Host, host: HostPlan) -> Any:
    mount = host.settings.pods_path if host.source else None
    return member.get_fact(
        V1Install,
        dir=host.settings.nanoclaw_v1_dir,
        root=host.root,
        space=[
            {"path": host.root, "mount": mount if host.root_on_pods else None},
            {"path": host.settings.pods_path, "mount": mount},
        ],
        seconds=_SECONDS,
        _timeout=_TIMEOUT,
    )
