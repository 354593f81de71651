"""The requests that a machine of the @fake connector replies to, and no others.

They are stated in full and from the plan, not by the functions of the role. A request with other, more or fewer
arguments gets no reply, nor does a program that is not named here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from tasks.bundle import bundle
from tasks.model.access.identity import Ids, Squash
from tasks.model.fleet.plan import FleetPlan, HostPlan, ServerPlan
from tasks.model.ownership.guard import program_file
from tasks.model.ownership.trees import Tree, host_trees, server_trees
from tasks.model.systemd_names import unit_name
from tests.fake.entries import entry_requests
from tests.fake.replies import Requests


def requests(fleet: FleetPlan) -> dict[str, Requests]:
    """Return the requests for every machine of a fleet."""
    hosts = {name: of_host(plan) for name, plan in fleet.hosts.items()}
    return {**{name: of_server(plan, fleet.hosts.values()) for name, plan in fleet.servers.items()}, **hosts}


FREE_IDS = [1000, *range(850, 800, -1)]
"""Candidate uids on hosts that state none, in the order of choice."""


def of_server(plan: ServerPlan, hosts: Iterable[HostPlan]) -> Requests:
    exports = sorted({export.path for export in plan.exports})
    clients = [host for host in hosts if host.server == plan.name]
    roots = {f"{host.source.path}{root}" for host in clients if host.source and (root := _root_on_pods(host))}
    files = {
        "conf": "/etc/nfs.conf.d/nanoclaw-pods.conf",
        "dropin": "/etc/exports.d/nanoclaw-pods.exports",
        "tried": "/var/lib/nanoclaw-pods/nfs-versions-tried",
    }
    ids = {"ids": FREE_IDS} if any(map(_states_no_uid, clients)) else {}
    places = {"look": sorted({*exports, *roots}), "marks": {}, "enter": []}
    return {
        "machine.preflight": [
            {"account": None, "agent": None, "paths": [], "space": ["/var"], "places": places, **ids},
        ],
        "nfs.exports": [{**files, "directories": []}, {**files, "directories": exports}],
        "trees.main": [_trees(server_trees(plan))],
        **entry_requests(plan),
    }


def _states_no_uid(plan: HostPlan) -> bool:
    return plan.settings.nanoclaw_uid is None and plan.settings.nanoclaw_user != "root"


def _root_on_pods(plan: HostPlan) -> str:
    """Return the path of the project root inside the pods, or an empty text."""
    inside = f"{plan.root}/".startswith(f"{plan.settings.pods_path}/")
    return plan.root[len(plan.settings.pods_path) :] if inside else ""


def _trees(trees: Iterable[Tree]) -> dict[str, Any]:
    """Return the request that reads trees; the model names them."""
    tree_requests = []
    for tree in trees:
        others = {ids for ids in tree.replaceable if ids != tree.owner}
        place = {"path": tree.path, "within": tree.within or tree.path, "mount": tree.mount, "anchor": tree.anchor}
        uids = sorted({ids.uid for ids in others} - {tree.owner.uid})
        gids = sorted({ids.gid for ids in others} | {tree.owner.gid})
        sockets = {"sockets": True} if tree.sockets else {}
        tree_requests.append(
            {**place, "uid": tree.owner.uid, "gid": tree.owner.gid, "uids": uids, "gids": gids, **sockets}
        )
    return {"apply": False, "trees": tree_requests}


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
    settings, root, pods = plan.settings, plan.root, plan.settings.pods_path
    ids = {"uid": plan.host_ids.uid, "gid": plan.host_ids.gid}
    whom = {"user": settings.nanoclaw_user, **ids}
    on_pods = bool(_root_on_pods(plan))
    sessions, groups = f"{root}/data/v2-sessions", f"{root}/groups"
    binds = {} if on_pods else {f"{pods}/v2-sessions": sessions, f"{pods}/groups": groups}
    unit, guard = f"nanoclaw-v2-{plan.slug}.service", f"pods-guard-{plan.slug}.service"
    state, units = f"/var/lib/nanoclaw-pods/nanoclaw-v2-{plan.slug}", "/etc/systemd/system"
    onecli = settings.nanoclaw_environment.get("ONECLI_URL")
    checkout = {
        **whom,
        "root": root,
        "repository": settings.nanoclaw_repository,
        "ref": settings.nanoclaw_ref,
        "onecli": onecli,
        "decides_owner": on_pods and (plan.squash is None or plan.squash.maps == "none"),
    }
    logs = [f"{root}/logs", f"{root}/logs/nanoclaw.log", f"{root}/logs/nanoclaw.error.log"]
    files = [f"{units}/{unit}", f"{units}/{unit}.d/50-nanoclaw-pods.conf"]
    inputs = [*files, f"{root}/.env", f"{root}/.git/nanoclaw-pods-build", f"{state}.image.json"]
    service = {**whom, "unit": unit, "root": root, "inputs": inputs}
    service["started"] = f"/run/nanoclaw-pods/nanoclaw-v2-{plan.slug}.started"
    rotation = f"/etc/logrotate.d/nanoclaw-v2-{plan.slug}"
    return {
        "machine.preflight": [
            {
                "account": whom,
                "agent": plan.stored_agent.uid,
                "paths": [pods, *binds.values()],
                "space": ["/var", root],
                "places": _places(plan, binds),
                **({"ids": FREE_IDS, "user": settings.nanoclaw_user} if _states_no_uid(plan) else {}),
            }
        ],
        "machine.runtime": [
            {
                **whom,
                "engine": "docker.io",
                "npm": "npm",
                "candidates": ["docker.io", "docker-cli", "docker-buildx", "nodejs"],
            }
        ],
        "nfs.mounts": [
            {
                "binds": [list(bind) for bind in binds.items()],
                "pods": pods,
                "stamp": "/var/lib/nanoclaw-pods/export",
                "tried": "/var/lib/nanoclaw-pods/refused-options",
                "units": {path: unit_name(path) for path in [*binds.values(), *([pods] if plan.source else [])]},
            }
        ],
        "nfs.container_firewall": [
            {
                "chain": "NANOCLAW-PODS",
                "dropin": f"{units}/docker.service.d/nanoclaw-pods.conf",
                "ipv6": bool(plan.source and ":" in plan.source.address),
                "nftables": f"{units}/nftables.service.d/nanoclaw-pods.conf",
                "rules": {
                    "iptables": "/etc/nanoclaw-pods/firewall.iptables",
                    "nft": "/etc/nanoclaw-pods/firewall.nft",
                },
                "table": "nanoclaw_pods",
                "unit": "nanoclaw-pods-firewall.service",
                "unit_file": f"{units}/nanoclaw-pods-firewall.service",
            }
        ],
        "source.checkout": [{**checkout, "peek": peek} for peek in (False, True)],
        "trees.main": [_trees(host_trees(plan))],
        "guard.state": [
            {
                "prefix": "pods-guard-",
                "program": program_file(bundle("guard.main")),
                "unit": guard,
                "unit_file": f"{units}/{guard}",
            }
        ],
        "service.v2_installs": [{"root": root, "uid": plan.host_ids.uid}],
        "migration.state": [
            {
                "directory": f"{state}.migration",
                "marker": f"/etc/nanoclaw-pods/nanoclaw-v2-{plan.slug}.migrated",
                "root": root,
                "service": f"nanoclaw-pods-migration-{plan.slug}.service",
            }
        ],
        "service.env_state": [
            {
                "names": sorted(settings.nanoclaw_env),
                "places": [f"{root}/.env", f"{root}/data/env", f"{root}/data/env/env"],
                "root": root,
            }
        ],
        "service.state": [
            {**service, "logs": logs, "texts": [*files, f"{units}/nanoclaw-pods-retry-{plan.slug}.service", rotation]}
        ],
        "service.serving_state": [{**service, "errors": logs[2], "onecli": onecli}],
        "probe.main": [_probe(plan, sessions, groups, guard, [pods] if on_pods else sorted(binds.values()))],
        "nfs.observe_export": [_observation(plan)] if plan.source else [],
        "v1.inspect": [_v1(plan)] if settings.nanoclaw_v1_dir else [],
        **entry_requests(plan),
    }


def _places(plan: HostPlan, binds: Mapping[str, str]) -> dict[str, Any]:
    pods, local = plan.settings.pods_path, plan.source is None
    marks = {f"/etc/systemd/system/{unit_name(to)}": f"What={source}\n" for source, to in binds.items()}
    return {
        "look": sorted({plan.root, pods, *(binds if local else ())}),
        "marks": marks if local else {},
        "enter": [plan.root, pods] if plan.host_ids.uid else [],
    }


def _probe(plan: HostPlan, sessions: str, groups: str, guard: str, mounts: list[str]) -> dict[str, Any]:
    chowns = plan.strategy.name == "chown"
    return {
        "agent": [plan.agent.uid, plan.agent.gid],
        "groups": groups,
        "guard": guard,
        "heal": 150,
        "host": [plan.host_ids.uid, plan.host_ids.gid],
        "image": plan.image,
        "mounts": mounts,
        "sessions": sessions,
        "slug": plan.slug,
        "user": None if plan.host_ids.uid in (0, 1000) else str(plan.host_ids),
        "wait": 10 if chowns else 0,
    }


def _observation(plan: HostPlan) -> dict[str, Any]:
    assert plan.source
    inside = _root_on_pods(plan).strip("/")
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
            {"path": plan.root, "mount": mount if _root_on_pods(plan) else None},
            {"path": plan.settings.pods_path, "mount": mount},
            {"path": "/var/lib/nanoclaw-pods", "mount": None},
        ],
        "seconds": 240,
    }
