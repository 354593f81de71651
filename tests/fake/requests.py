"""What each fact has to ask of a machine of the @fake connector: it answers that, and nothing else.

Stated from the plan by hand, and not by the functions of the role that ask: a question that is left out, or that is
about another path or user, gets no answer. A program that is not named here is answered whatever it asks.
"""

from __future__ import annotations

from dataclasses import replace

from tasks.model.access.identity import Ids, Squash
from tasks.model.fleet.plan import FleetPlan, HostPlan, ServerPlan
from tests.fake.answers import Requests


def requests(fleet: FleetPlan) -> dict[str, Requests]:
    """What every machine of a fleet is asked."""
    hosts = {name: of_host(plan) for name, plan in fleet.hosts.items()}
    return {**{name: of_server(plan) for name, plan in fleet.servers.items()}, **hosts}


def of_server(plan: ServerPlan) -> Requests:
    exports = sorted({export.path for export in plan.exports})
    files = {"conf": "/etc/nfs.conf.d/nanoclaw-pods.conf", "dropin": "/etc/exports.d/nanoclaw-pods.exports"}
    return {
        "machine.preflight": [{"account": None, "agent": None, "paths": [], "space": ["/var"]}],
        "nfs.exports": [{**files, "directories": []}, {**files, "directories": exports}],
        "machine.packages": [{"packages": ["nfs-kernel-server"]}],
    }


TAKEN = 850
"""The uid and gid that a host takes where those of the default belong to somebody, and its data states none."""


def of_host(plan: HostPlan) -> Requests:
    """What a host is asked: with its own ids, or with those that it takes instead."""
    plans = [plan]
    if plan.settings.nanoclaw_uid is None and plan.host_ids.uid != 0:
        plans.append(replace(plan, host_ids=Ids(TAKEN, TAKEN), squash=_taken(plan)))
    asked = [_of(one) for one in plans]
    return {name: [request for one in asked for request in one[name]] for name in asked[0]}


def _taken(plan: HostPlan) -> Squash | None:
    ours = plan.squash is not None and plan.squash.maps != "none" and plan.settings.pods_export_options is None
    return replace(plan.squash, anonymous=Ids(TAKEN, TAKEN)) if plan.squash and ours else plan.squash


def _of(plan: HostPlan) -> Requests:
    settings, root, pods = plan.settings, plan.root, plan.settings.pods_path
    whom = {"user": settings.nanoclaw_user, "uid": plan.host_ids.uid, "gid": plan.host_ids.gid}
    on_pods = f"{root}/".startswith(f"{pods}/")
    sessions, groups = f"{root}/data/v2-sessions", f"{root}/groups"
    binds = [] if on_pods else [[f"{pods}/v2-sessions", sessions], [f"{pods}/groups", groups]]
    ids = {"host": [plan.host_ids.uid, plan.host_ids.gid], "agent": [plan.agent.uid, plan.agent.gid]}
    unit = f"nanoclaw-v2-{plan.slug}.service"
    secrets = sorted(settings.nanoclaw_env)
    source = {"repository": settings.nanoclaw_repository, "ref": settings.nanoclaw_ref}
    guard = f"pods-guard-{plan.slug}.service"
    return {
        "machine.preflight": [
            {
                "account": whom,
                "agent": plan.stored_agent.uid,
                "paths": [pods, *(target for _source, target in binds)],
                "space": ["/var", root],
            }
        ],
        "machine.runtime": [whom],
        "nfs.mounts": [{"binds": binds, "pods": pods}],
        "source.checkout": [{**whom, **source, "root": root}],
        "guard.state": [{"unit": guard}],
        "service.v2_installs": [{"root": root, "uid": plan.host_ids.uid}],
        "source.agent_image": [{"image": plan.image, "root": root, "uid": plan.host_ids.uid, "gid": plan.host_ids.gid}],
        "service.env_state": [{"names": secrets, "root": root}],
        "service.state": [{**whom, "root": root, "unit": unit}],
        "probe.main": [{**ids, "image": plan.image, "sessions": sessions, "groups": groups}],
        "nfs.observe_export": [{**ids, "path": plan.source.path, "address": plan.source.address}]
        if plan.source
        else [{}],
    }
