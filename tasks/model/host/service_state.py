"""What a machine's NanoClaw service is, and why it cannot be brought to its plan."""

from files.pods.service.protocol import Rival, ServiceState, StartRequest, StateRequest
from tasks.model.fleet.plan import HostPlan
from tasks.model.host import service_unit as texts


def start_request(plan: HostPlan, *, restart: bool) -> StartRequest:
    """Return the request to enable the service, and to restart it or not."""
    log, errors = texts.log_files(plan)
    return StartRequest(
        **plan.host_user,
        unit=plan.unit,
        restart=restart,
        root=plan.root,
        log=log,
        errors=errors,
        install=plan.slug,
    )


def refusals(plan: HostPlan, current: ServiceState) -> list[str]:
    """Why the service cannot be brought to its plan, each with the way out."""
    problems = []
    if current.unit.enabled.startswith("masked"):
        problems.append(f"{plan.unit} is masked: run systemctl unmask {plan.unit}, then run again")
    if current.account and (current.account.uid, current.account.gid) != (plan.host_ids.uid, plan.host_ids.gid):
        user, ids = plan.settings.nanoclaw_user, f"{current.account.uid}:{current.account.gid}"
        problems.append(
            f"{user} is {ids} on this machine, not {plan.host_ids}: set nanoclaw_uid and nanoclaw_gid to these ids"
        )
    for path, entry in current.logs.items():
        kind = "directory" if path == texts.log_directory(plan) else "file"
        if entry.kind not in (kind, "absent"):
            problems.append(f"{path} is a {entry.kind}, not a {kind}: move it away")
    problems += [_rival(plan, rival) for rival in current.rivals if rival not in adoptable(plan, current)]
    return problems


def adoptable(plan: HostPlan, current: ServiceState) -> list[Rival]:
    """Services of the host user's own manager that run the project root: the system's takes their place."""
    return [rival for rival in current.rivals if rival.kind == "user unit" and rival.detail == str(plan.host_ids.uid)]


def _rival(plan: HostPlan, rival: Rival) -> str:
    if rival.kind == "process":
        return (
            f"process {rival.name} runs {plan.root} outside {plan.unit} ({rival.detail}): "
            "stop it and what starts it (start-nanoclaw.sh, a terminal, another unit), then run again"
        )
    if rival.kind == "earlier unit":
        return (
            f"{rival.name} runs another project root, and the role runs one NanoClaw on a machine: "
            f"run systemctl disable --now {rival.name}, then run again"
        )
    if rival.kind == "sleeping user unit":
        return (
            f"{rival.name} would run {plan.root} too, but the service manager of uid {rival.detail}, which can disable "
            f"it, does not run: start it (loginctl enable-linger {rival.detail}), or delete that file, then run again"
        )
    user = rival.detail or plan.settings.nanoclaw_user
    how = (
        f"systemctl --user --machine={user}@ disable --now" if rival.kind == "user unit" else "systemctl disable --now"
    )
    unit = rival.name.rpartition("/")[2]
    return f"{rival.name} also runs {plan.root}: run {how} {unit}, delete that file, then run again"


def service_request(plan: HostPlan) -> StateRequest:
    """What a host is asked about its service."""
    return StateRequest(
        unit=plan.unit,
        **plan.host_user,
        root=plan.root,
        texts=[texts.unit_path(plan), texts.dropin_path(plan), texts.retry_path(plan), texts.rotation_path(plan)],
        logs=[texts.log_directory(plan), *texts.log_files(plan)],
        inputs=list(texts.inputs(plan)),
        started=texts.started_record(plan),
    )
