"""What brings a machine's NanoClaw service to its plan; whether it restarts is decided here alone."""

from dataclasses import dataclass, field

from files.pods.common.protocol import Place
from files.pods.service.protocol import LogStep, ServiceState
from tasks.model.fleet.plan import HostPlan
from tasks.model.host import service_unit as texts
from tasks.model.host.service_state import adoptable
from tasks.model.host.service_unit import Runtime, expected_account
from tasks.model.nfs.mount_unit import mount_points
from tasks.model.ownership.owners import expected_owner
from tasks.model.platform.platform import DEBIAN_13

NODE = DEBIAN_13.node_path
"""Where Node is going to be on a machine that has none yet."""


@dataclass(frozen=True)
class ServiceSteps:
    """What brings the service to its plan. Empty where it is there already."""

    logs: tuple[LogStep, ...] = ()
    units: dict[str, str] = field(default_factory=dict)
    """Every unit file's text, if one of them differs or systemd has not read the last change."""
    rotation: str | None = None
    start: bool = False
    """Enable it, and have it run."""
    restart: bool = False
    """Stop it first, with its agents; also where it does not run or answer now."""
    reasons: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.reasons)


def runtime(plan: HostPlan, current: ServiceState) -> Runtime:
    """What the texts need of the machine; what is not there yet is taken to come as planned."""
    return Runtime(current.account or expected_account(plan), current.node or NODE, current.systemd)


def unit_files(plan: HostPlan, current: ServiceState) -> dict[str, str]:
    """The unit files, path to text."""
    machine = runtime(plan, current)
    files = {
        texts.unit_path(plan): texts.unit_text(plan, machine),
        texts.dropin_path(plan): texts.dropin_text(plan, machine),
    }
    if mount_points(plan):
        files[texts.retry_path(plan)] = texts.retry_text(plan)
    return files


def restart_reasons(plan: HostPlan, current: ServiceState, *, pending: bool = False) -> list[str]:
    """Why the service restarts; empty where it runs on.

    Everything is compared with what the machine says now: a start notes digests of its inputs, so that what an earlier
    run missed is made up, and no operation has to hand on that it changed something. Operations that need the service
    at rest (a checkout of another owner, mounts made anew, a migration) stop it themselves, which is current here.

    + pending: whether a check phase expects an input to change, which no machine can show yet
    """
    adopted = [f"{rival.name} is disabled, {plan.unit} takes its place" for rival in adoptable(plan, current)]
    if current.unit.active != "active":
        return [f"{plan.unit} is {current.unit.active} ({current.unit.sub})", *adopted]
    if not current.serving.answers:
        return [current.serving.why, *adopted]
    # The retry unit is no part of what runs: a change of it alone restarts nothing.
    reasons = [f"{path} differs" for path in _differing(plan, current) if path != texts.retry_path(plan)]
    if current.unit.reload and not reasons:
        reasons.append(_UNREAD)
    if current.outdated and not reasons:
        reasons.append(f"{plan.unit} started before a change: {', '.join(current.outdated)}")
    elif current.outdated is None and not reasons:
        reasons.append(f"{plan.unit} has no record of what it started with")
    if pending and not reasons:
        reasons.append(f"{plan.unit} uses a build, an image, a database or a .env that this run changes")
    return [*reasons, *adopted]


def service_steps(plan: HostPlan, current: ServiceState, *, start: bool = True, pending: bool = False) -> ServiceSteps:
    """What has to be done, and why.

    + start: whether the service has to run; if not, what it needs is installed alone
    + pending: see restart_reasons
    """
    differing = _differing(plan, current)
    rotation = texts.rotation_text(plan, runtime(plan, current).account)
    rotates = current.files.get(texts.rotation_path(plan)) == rotation
    logs = tuple(_log_steps(plan, current))
    reasons = [f"{path} differs" for path in differing]
    if current.unit.reload and not differing:
        reasons.append(_UNREAD)
    reasons += [f"{path}: {what}" for what, path in logs]
    if not rotates:
        reasons.append(f"{texts.rotation_path(plan)} differs")
    restart = restart_reasons(plan, current, pending=pending) if start else []
    disabled = [f"{plan.unit} is not enabled"] if start and current.unit.enabled != "enabled" else []
    return ServiceSteps(
        logs=logs,
        units=unit_files(plan, current) if differing or current.unit.reload else {},
        rotation=None if rotates else rotation,
        start=bool(restart or disabled),
        restart=bool(restart),
        reasons=tuple(dict.fromkeys([*reasons, *restart, *disabled])),
    )


_UNREAD = "systemd has not read the last change of the unit"


def _differing(plan: HostPlan, current: ServiceState) -> list[str]:
    """The unit files that have another text."""
    return [path for path, text in unit_files(plan, current).items() if not _same(current.files.get(path), text)]


def _same(current: str | None, desired: str) -> bool:
    """NanoClaw's own setup ends the unit without a line break."""
    return current is not None and current.rstrip("\n") == desired.rstrip("\n")


def _log_steps(plan: HostPlan, current: ServiceState) -> list[LogStep]:
    owner = expected_owner(plan, "project root")
    steps: list[LogStep] = []
    for path in (texts.log_directory(plan), *texts.log_files(plan)):
        entry = current.logs.get(path, Place("absent"))
        if entry.kind == "absent":
            steps.append(("directory" if path == texts.log_directory(plan) else "file", path))
        elif owner and (entry.uid, entry.gid) != (owner.uid, owner.gid):
            steps.append(("owner", path))
    return steps
