"""Machines in known states, as the documents that the role's facts would read from them.

`bare` is a Debian 13 that was just installed, `underway` the same in the middle of its first run, `finished` what it is
after that run. What a finished machine has in files is what the role writes there, so those texts come from the
functions that make them.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from tasks.model.fleet.plan import FleetPlan, HostPlan, ServerPlan
from tests.fake.bare_host import NO_ACCOUNT, Documents, machine
from tests.fake.entries import entry_replies
from tests.fake.finished_host import finished_host
from tests.fake.programs import OF_HOSTS, OF_SERVERS


def documents(fleet: FleetPlan, state: str) -> dict[str, dict[str, Any]]:
    """Return the replies of every machine of a fleet: all `bare`, all `underway`, or all `finished`."""
    replies: dict[str, Documents] = {name: server_replies(plan, state) for name, plan in fleet.servers.items()}
    replies |= {name: host_replies(plan, state) for name, plan in fleet.hosts.items()}
    plans: dict[str, HostPlan | ServerPlan] = {**fleet.servers, **fleet.hosts}
    return {
        name: json.loads(json.dumps({key: asdict(it) for key, it in facts.items() if it is not None}))
        | entry_replies(plans[name], state)
        for name, facts in replies.items()
    }


def server_replies(plan: ServerPlan, state: str) -> Documents:
    """Return the replies of a server, by program."""
    programs = {program: fake(plan).reply(state) for program, fake in OF_SERVERS.items()}
    return {"machine.preflight": machine(plan.name), **programs}


def host_replies(plan: HostPlan, state: str) -> Documents:
    """Return the replies of a host, by program. Underway, each operation finds what earlier ones of the run do done."""
    first = finished_host(plan) if state == "finished" else {"machine.preflight": machine(plan.name, NO_ACCOUNT)}
    return {**first, **{program: fake(plan).reply(state) for program, fake in OF_HOSTS.items()}}
