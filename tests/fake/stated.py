"""What a plan means for a host, stated by hand: the requests of fake machines are made of it."""

from __future__ import annotations

from typing import Any

from tasks.model.fleet.plan import HostPlan

UNITS = "/etc/systemd/system"


def host_user(plan: HostPlan) -> dict[str, Any]:
    """Return the host user, as requests name him."""
    return {"user": plan.settings.nanoclaw_user, "uid": plan.host_ids.uid, "gid": plan.host_ids.gid}


def root_on_pods(plan: HostPlan) -> str:
    """Return the path of the project root inside the pods, or an empty text."""
    inside = f"{plan.root}/".startswith(f"{plan.settings.pods_path}/")
    return plan.root[len(plan.settings.pods_path) :] if inside else ""


def sessions_and_groups(plan: HostPlan) -> tuple[str, str]:
    """Return the directories of sessions and of groups in the project root."""
    return f"{plan.root}/data/v2-sessions", f"{plan.root}/groups"


def binds(plan: HostPlan) -> dict[str, str]:
    """Return the bind mounts, source to target."""
    sessions, groups = sessions_and_groups(plan)
    pods = plan.settings.pods_path
    return {} if root_on_pods(plan) else {f"{pods}/v2-sessions": sessions, f"{pods}/groups": groups}


def guard_unit(plan: HostPlan) -> str:
    """Return the name of the guard's unit."""
    return f"pods-guard-{plan.slug}.service"


def state_path(plan: HostPlan) -> str:
    """Return the beginning of the paths where the role keeps what it knows of a host."""
    return f"/var/lib/nanoclaw-pods/nanoclaw-v2-{plan.slug}"


def onecli(plan: HostPlan) -> str | None:
    """Return the address of OneCLI by the settings."""
    return plan.settings.nanoclaw_environment.get("ONECLI_URL") or plan.settings.nanoclaw_gateway_server


def env_entries(plan: HostPlan) -> dict[str, str]:
    """Return the entries of .env that the role sets."""
    kind, server = plan.settings.nanoclaw_gateway, plan.settings.nanoclaw_gateway_server
    gateway = {"NANOCLAW_GATEWAY_PROVIDER": kind, "ONECLI_URL": server} if kind and server else {}
    return {**gateway, **plan.settings.nanoclaw_env}
