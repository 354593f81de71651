"""The requests that a machine of the @fake connector replies to, and no others.

They are stated in full and from the plan, not by the functions of the role: those of the preflight here, those of
operations in tests/fake/programs and in the YAML of operations. Any other request gets no reply.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from tasks.model.access.identity import Ids, Squash
from tasks.model.fleet.plan import FleetPlan, HostPlan, ServerPlan
from tasks.model.systemd_names import unit_name
from tests.fake.entries import entry_requests
from tests.fake.programs import OF_HOSTS, OF_SERVERS
from tests.fake.replies import Requests
from tests.fake.stated import binds, host_user, root_on_pods


def requests(fleet: FleetPlan) -> dict[str, Requests]:
    """Return the requests for every machine of a fleet."""
    hosts = {name: of_host(plan) for name, plan in fleet.hosts.items()}
    return {**{name: of_server(plan, fleet.hosts.values()) for name, plan in fleet.servers.items()}, **hosts}


FREE_IDS = [1000, *range(850, 800, -1)]
"""Candidate uids on hosts that state none, in the order of choice."""


def of_server(plan: ServerPlan, hosts: Iterable[HostPlan]) -> Requests:
    exports = {export.path for export in plan.exports}
    clients = [host for host in hosts if host.server == plan.name]
    roots = {f"{host.source.path}{root}" for host in clients if host.source and (root := root_on_pods(host))}
    ids = {"ids": FREE_IDS} if any(map(_states_no_uid, clients)) else {}
    places = {"paths": sorted({*exports, *roots}), "marks": {}, "enter": []}
    return {
        "machine.preflight": [
            {"account": None, "agent": None, "paths": [], "space": ["/var"], "places": places, **ids},
        ],
        **{program: fake(plan).requests for program, fake in OF_SERVERS.items()},
        **entry_requests(plan),
    }


def _states_no_uid(plan: HostPlan) -> bool:
    return plan.settings.nanoclaw_uid is None and plan.settings.nanoclaw_user != "root"


TAKEN = 850
"""The uid and gid of a host that states none and finds the default ones taken."""


def of_host(plan: HostPlan) -> Requests:
    """Return the requests for a host: with its own ids, and with those that it takes instead."""
    plans = [plan]
    if plan.settings.nanoclaw_uid is None and plan.host_ids.uid != 0:
        plans.append(replace(plan, host_ids=Ids(TAKEN, TAKEN), squash=_taken(plan)))
    requests_of = [_of(one) for one in plans]
    return {name: [request for one in requests_of for request in one[name]] for name in requests_of[0]}


def _taken(plan: HostPlan) -> Squash | None:
    ours = plan.squash is not None and plan.squash.maps != "none" and plan.settings.pods_export_options is None
    return replace(plan.squash, anonymous=Ids(TAKEN, TAKEN)) if plan.squash and ours else plan.squash


def _of(plan: HostPlan) -> Requests:
    pods = plan.settings.pods_path
    return {
        "machine.preflight": [
            {
                "account": host_user(plan),
                "agent": plan.stored_agent.uid,
                "paths": [pods, *binds(plan).values()],
                "space": ["/var", plan.root],
                "places": _places(plan, binds(plan)),
                **({"ids": FREE_IDS, "user": plan.settings.nanoclaw_user} if _states_no_uid(plan) else {}),
            }
        ],
        "nfs.observe_export": [_observation(plan)] if plan.source else [],
        "v1.inspect": [_v1(plan)] if plan.settings.nanoclaw_v1_dir else [],
        **{program: fake(plan).requests for program, fake in OF_HOSTS.items()},
        **entry_requests(plan),
    }


def _places(plan: HostPlan, binds: Mapping[str, str]) -> dict[str, Any]:
    pods, local = plan.settings.pods_path, plan.source is None
    marks = {f"/etc/systemd/system/{unit_name(to)}": f"What={source}\n" for source, to in binds.items()}
    return {
        "paths": sorted({plan.root, pods, *(binds if local else ())}),
        "marks": marks if local else {},
        "enter": [plan.root, pods] if plan.host_ids.uid else [],
    }


def _observation(plan: HostPlan) -> dict[str, Any]:
    assert plan.source
    inside = root_on_pods(plan).strip("/")
    return {
        "address": plan.source.address,
        "agent": [plan.agent.uid, plan.agent.gid],
        "host": [plan.host_ids.uid, plan.host_ids.gid],
        "path": plan.source.path,
        "places": [f"{inside}/data/v2-sessions", f"{inside}/groups", "."] if inside else ["v2-sessions", "groups", "."],
        "seconds": 20,
        "transport": "tcp6" if ":" in plan.source.address else "tcp",
        "version": plan.settings.pods_nfs_version,
    }


def _v1(plan: HostPlan) -> dict[str, Any]:
    mount = plan.settings.pods_path if plan.source else None
    return {
        "dir": plan.settings.nanoclaw_v1_dir,
        "root": plan.root,
        "uid": plan.host_ids.uid,
        "space": [
            {"path": plan.root, "mount": mount if root_on_pods(plan) else None},
            {"path": plan.settings.pods_path, "mount": mount},
            {"path": "/var/lib/nanoclaw-pods", "mount": None},
        ],
        "seconds": 240,
    }
