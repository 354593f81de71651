"""What a machine's NanoClaw service is, and what is to be done about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tasks.model.fleet.plan import HostPlan
from tasks.model.host import service_unit as texts
from tasks.model.host.service_unit import Account, Runtime, expected_account
from tasks.model.nfs.mount_unit import mount_points
from tasks.model.ownership.owners import Place, expected_owner

NODE = "/usr/bin/node"
"""Where Node is going to be on a machine that has none yet."""


@dataclass(frozen=True)
class UnitState:
    """What systemd says of the unit; `reload`: a file of it or of its retry unit changed since systemd read it."""

    load: str
    active: str
    sub: str
    enabled: str
    reload: bool


@dataclass(frozen=True)
class Rival:
    """Something else that runs, or would run, this project root."""

    kind: str
    name: str
    detail: str = ""


@dataclass(frozen=True)
class Serving:
    """Whether the service answers on its socket, as `files/pods/service/serving.py` says."""

    answers: bool
    why: str
    """Why it does not; empty where it does."""


@dataclass(frozen=True)
class ServiceState:
    """What a machine says of its NanoClaw service."""

    systemd: int
    unit: UnitState
    files: dict[str, str | None]
    account: Account | None
    node: str | None
    logs: dict[str, Place]
    outdated: list[str] | None
    """The inputs that changed since the service started; None where no start has noted them."""
    rivals: list[Rival]
    serving: Serving


@dataclass(frozen=True)
class ServiceSteps:
    """What brings the service to its plan. Empty where it is there already."""

    logs: tuple[tuple[str, str], ...] = ()
    """(what, path): "directory" and "file" are to be made, "owner" is to be set."""
    units: dict[str, str] = field(default_factory=dict)
    """Every unit file's text, if one of them differs or systemd has not read the last change."""
    rotation: str | None = None
    start: bool = False
    """It is to be enabled, and running when that is done."""
    restart: bool = False
    reasons: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.reasons)


def start_arguments(plan: HostPlan, *, restart: bool) -> dict[str, Any]:
    """The argument of files/pods/service/start.py."""
    log, errors = texts.log_files(plan)
    return {
        "unit": plan.unit,
        "restart": restart,
        "root": plan.root,
        "log": log,
        "errors": errors,
        "install": plan.slug,
        **plan.host_user,
    }


def refusals(plan: HostPlan, seen: ServiceState) -> list[str]:
    """Why the service cannot be brought to its plan, each with the way out."""
    found = []
    if seen.unit.enabled.startswith("masked"):
        found.append(f"{plan.unit} is masked: systemctl unmask {plan.unit}, if it is to run")
    if seen.account and (seen.account.uid, seen.account.gid) != (plan.host_ids.uid, plan.host_ids.gid):
        user, ids = plan.settings.nanoclaw_user, f"{seen.account.uid}:{seen.account.gid}"
        found.append(
            f"{user} is {ids} on this machine and {plan.host_ids} in the plan: set nanoclaw_uid and nanoclaw_gid"
        )
    for path, entry in seen.logs.items():
        wanted = "directory" if path == texts.log_directory(plan) else "file"
        if entry.kind not in (wanted, "absent"):
            found.append(f"{path} is a {entry.kind}, not a {wanted}: move it away")
    found += [_rival(plan, rival) for rival in seen.rivals if rival not in adoptable(plan, seen)]
    return found


def adoptable(plan: HostPlan, seen: ServiceState) -> list[Rival]:
    """Services of the host user's own manager that run the project root: the system's takes their place."""
    return [rival for rival in seen.rivals if rival.kind == "user unit" and rival.detail == str(plan.host_ids.uid)]


def _rival(plan: HostPlan, rival: Rival) -> str:
    if rival.kind == "process":
        return (
            f"process {rival.name} runs {plan.root} outside {plan.unit} ({rival.detail}): "
            "stop it and what starts it (start-nanoclaw.sh, a terminal, another unit), then run again"
        )
    if rival.kind == "earlier unit":
        return (
            f"{rival.name} runs another project root on this machine, which has one host: "
            f"systemctl disable --now {rival.name}, then run again"
        )
    if rival.kind == "sleeping user unit":
        return (
            f"{rival.name} would run {plan.root} too, and its user's manager, which could disable it, does not run: "
            f"loginctl enable-linger {rival.detail}, or delete that file, then run again"
        )
    user = rival.detail or plan.settings.nanoclaw_user
    how = (
        f"systemctl --user --machine={user}@ disable --now" if rival.kind == "user unit" else "systemctl disable --now"
    )
    unit = rival.name.rpartition("/")[2]
    return f"{rival.name} also runs {plan.root}: {how} {unit}, delete that file, then run again"


def runtime(plan: HostPlan, seen: ServiceState) -> Runtime:
    """What the texts need of the machine; what is not there yet is taken to come as planned."""
    return Runtime(seen.account or expected_account(plan), seen.node or NODE, seen.systemd)


def unit_files(plan: HostPlan, seen: ServiceState) -> dict[str, str]:
    """The unit files, path to text."""
    machine = runtime(plan, seen)
    files = {
        texts.unit_path(plan): texts.unit_text(plan, machine),
        texts.dropin_path(plan): texts.dropin_text(plan, machine),
    }
    if mount_points(plan):
        files[texts.retry_path(plan)] = texts.retry_text(plan)
    return files


def service_steps(plan: HostPlan, seen: ServiceState) -> ServiceSteps:
    """What is to be done, and why."""
    units = unit_files(plan, seen)
    differing = [path for path, text in units.items() if not _same(seen.files.get(path), text)]
    rotation = texts.rotation_text(plan, runtime(plan, seen).account)
    rotates = seen.files.get(texts.rotation_path(plan)) == rotation
    logs = tuple(_log_steps(plan, seen))
    active = seen.unit.active == "active"
    up = active and seen.serving.answers
    enabled = seen.unit.enabled == "enabled"
    # The retry unit is no part of what runs: a change of it alone restarts nothing.
    ours_differ = any(path != texts.retry_path(plan) for path in differing)
    stale = active and (ours_differ or seen.unit.reload or seen.outdated is None or bool(seen.outdated))

    reasons = [f"{path} differs" for path in differing]
    if seen.unit.reload and not differing:
        reasons.append("systemd has not read the last change of the unit")
    reasons += [f"{path}: {what}" for what, path in logs]
    if not rotates:
        reasons.append(f"{texts.rotation_path(plan)} differs")
    if not active:
        reasons.append(f"{plan.unit} is {seen.unit.active} ({seen.unit.sub})")
    elif not up:
        reasons.append(seen.serving.why)
    elif stale and not differing:
        since = ", ".join(seen.outdated) if seen.outdated else "what it started with is not known"
        reasons.append(f"{plan.unit} started before a change: {since}")
    if not enabled:
        reasons.append(f"{plan.unit} is not enabled")
    return ServiceSteps(
        logs=logs,
        units=units if differing or seen.unit.reload else {},
        rotation=None if rotates else rotation,
        start=not up or stale or not enabled,
        restart=not up or stale,
        reasons=tuple(reasons),
    )


def _same(found: str | None, wanted: str) -> bool:
    """NanoClaw's own setup ends the unit without a line break."""
    return found is not None and found.rstrip("\n") == wanted.rstrip("\n")


def _log_steps(plan: HostPlan, seen: ServiceState) -> list[tuple[str, str]]:
    owner = expected_owner(plan, "project root")
    steps = []
    for path in (texts.log_directory(plan), *texts.log_files(plan)):
        entry = seen.logs.get(path, Place("absent"))
        if entry.kind == "absent":
            steps.append(("directory" if path == texts.log_directory(plan) else "file", path))
        elif owner and (entry.uid, entry.gid) != (owner.uid, owner.gid):
            steps.append(("owner", path))
    return steps
