"""NanoClaw's service on a fake host: its environment, units, logs, and whether it serves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from files.pods.common.protocol import Place
from files.pods.service.protocol import (
    EnvState,
    Installed,
    Installs,
    Service,
    ServiceState,
    Serving,
    ServingState,
    UnitState,
)
from tasks.model.fleet.plan import HostPlan
from tasks.model.host import service_unit
from tasks.model.host.env_files import digest, places
from tasks.model.host.service_steps import unit_files
from tests.fake.bare_host import KEY
from tests.fake.fake import Fake
from tests.fake.programs.source import COMMIT
from tests.fake.stated import UNITS, env_entries, host_user, onecli, state_path


def v2_installs(plan: HostPlan) -> Fake:
    path = service_unit.unit_path(plan)
    unit = Service("system", plan.unit, path, plan.host_ids.uid, "active")
    ours = Installed(plan.root, plan.host_ids.uid, plan.settings.nanoclaw_user, True, [unit], [])
    return Fake(requests=[{"root": plan.root, "uid": plan.host_ids.uid}], bare=Installs([]), finished=Installs([ours]))


def env_state(plan: HostPlan) -> Fake:
    root, ids = plan.root, (plan.host_ids.uid, plan.host_ids.gid)
    return Fake(
        requests=[
            {
                "names": sorted(env_entries(plan)),
                "places": [f"{root}/.env", f"{root}/data/env", f"{root}/data/env/env"],
                "root": root,
            }
        ],
        bare=EnvState({path: Place("absent") for path in places(root)}, {}),
        finished=EnvState(
            {path: Place("file" if mode == "0600" else "directory", *ids, mode) for path, mode in places(root).items()},
            {name: digest(KEY, value) for name, value in env_entries(plan).items()},
        ),
    )


def service_state(plan: HostPlan) -> Fake:
    rotation = f"/etc/logrotate.d/nanoclaw-v2-{plan.slug}"
    retry = f"{UNITS}/nanoclaw-pods-retry-{plan.slug}.service"
    bare = ServiceState(
        systemd=257,
        unit=UnitState("not-found", "inactive", "dead", "", False),
        files=dict.fromkeys(
            (
                service_unit.unit_path(plan),
                service_unit.dropin_path(plan),
                service_unit.retry_path(plan),
                service_unit.rotation_path(plan),
            )
        ),
        account=None,
        node=None,
        logs={path: Place("absent") for path in logs_of(plan)},
        outdated=None,
        rivals=[],
        serving=Serving(False, f"{plan.unit} is inactive (dead)"),
    )
    return Fake(
        requests=[{**_started(plan), "logs": _logs(plan), "texts": [*_unit_files(plan), retry, rotation]}],
        bare=bare,
        underway=replace(bare, account=service_unit.expected_account(plan), node="/usr/bin/node"),
        finished=_running(plan),
    )


def serving_state(plan: HostPlan) -> Fake:
    serves = ServingState(True, "", [], [], COMMIT, COMMIT, None)
    return Fake(
        requests=[{**_started(plan), "errors": _logs(plan)[2], "onecli": onecli(plan)}],
        underway=serves,
        finished=serves,
    )


def _logs(plan: HostPlan) -> list[str]:
    logs = f"{plan.root}/logs"
    return [logs, f"{logs}/nanoclaw.log", f"{logs}/nanoclaw.error.log"]


def _unit_files(plan: HostPlan) -> list[str]:
    unit = f"{UNITS}/nanoclaw-v2-{plan.slug}.service"
    return [unit, f"{unit}.d/50-nanoclaw-pods.conf"]


def _started(plan: HostPlan) -> dict[str, Any]:
    """Return what tells with which inputs the service started."""
    root = plan.root
    inputs = [f"{root}/.env", f"{root}/.git/nanoclaw-pods-build", f"{state_path(plan)}.image.json"]
    return {
        **host_user(plan),
        "unit": f"nanoclaw-v2-{plan.slug}.service",
        "root": root,
        "inputs": [*_unit_files(plan), *inputs],
        "started": f"/run/nanoclaw-pods/nanoclaw-v2-{plan.slug}.started",
    }


def logs_of(plan: HostPlan) -> list[str]:
    return [service_unit.log_directory(plan), *service_unit.log_files(plan)]


def _running(plan: HostPlan) -> ServiceState:
    owner = plan.stored_agent if plan.root_on_pods and plan.strategy.name == "squash" else plan.host_ids
    logs = {
        path: Place("file" if path.endswith(".log") else "directory", owner.uid, owner.gid) for path in logs_of(plan)
    }
    up = ServiceState(
        systemd=257,
        unit=UnitState("loaded", "active", "running", "enabled", False),
        files={},
        account=service_unit.expected_account(plan),
        node="/usr/bin/node",
        logs=logs,
        outdated=[],
        rivals=[],
        serving=Serving(True, ""),
    )
    rotation = service_unit.rotation_text(plan, service_unit.expected_account(plan))
    return replace(up, files={**unit_files(plan, up), service_unit.rotation_path(plan): rotation})


OF_HOSTS = {
    "service.v2_installs": v2_installs,
    "service.env_state": env_state,
    "service.state": service_state,
    "service.serving_state": serving_state,
}
