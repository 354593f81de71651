"""A NanoClaw v2 that runs on a machine already: whether the role can take it over, and how if not."""

from collections.abc import Iterator

from files.pods.service.protocol import Installed, Installs, InstallsRequest
from tasks.model.fleet.plan import HostPlan


def adoption_problems(reply: Installs, plan: HostPlan) -> Iterator[str]:
    """Why the run must not begin: a NanoClaw v2 that the role cannot take over as it is, with the way to adopt it.

    Adopted are, in nanoclaw_root: a service that NanoClaw's own setup made for root, and one of the host user's own.
    """
    for one in reply.installs:
        if one.root != plan.root:
            yield from _elsewhere(one, plan)
        else:
            yield from _here(one, plan)


def _elsewhere(one: Installed, plan: HostPlan) -> Iterator[str]:
    if not one.units and not one.loose:
        return
    by = one.units[0].file if one.units else f"process {one.loose[0]}"
    runner = one.units[0].uid if one.units else one.uid
    adopt = f"to adopt it, set nanoclaw_root to {one.root}{_as_user(one, runner, plan)}"
    yield f"a NanoClaw v2 runs in {one.root} already ({by}): {adopt}; or {_stop(one)}, then run again"


def _here(one: Installed, plan: HostPlan) -> Iterator[str]:
    for unit in one.units:
        is_the_plans = unit.manager == "system" and unit.name == plan.unit
        if is_the_plans and one.ours:
            continue
        if is_the_plans or unit.manager == "user":
            if unit.uid != plan.host_ids.uid:
                adopt = _as_user(one, unit.uid, plan).replace(" and", "to adopt it, set", 1)
                yield (
                    f"{unit.file} runs {one.root} as uid {unit.uid}, and the role would run it as uid "
                    f"{plan.host_ids.uid}: {adopt}; or {_stop(one)}, then run again"
                )
            elif unit.active == "no manager":
                yield (
                    f"{unit.file} runs {one.root}, but the service manager of uid {unit.uid}, which can disable it, "
                    f"does not run: start it with loginctl enable-linger {unit.uid}, then run again"
                )
        else:
            way = f"run systemctl disable --now {unit.name}, then run again"
            yield f"{unit.file} runs {one.root}, which {plan.unit} must run: {way}"
    if one.loose:
        yield (
            f"process {one.loose[0]} runs {one.root} outside of a service: stop it and what starts it "
            "(start-nanoclaw.sh, a terminal), then run again, and the role adopts it"
        )


def _as_user(one: Installed, uid: int | None, plan: HostPlan) -> str:
    """The settings with which an install goes on as the user that runs it: its files may be another's."""
    if uid == plan.host_ids.uid:
        return ""
    if uid == 0:
        return " and nanoclaw_user to root"
    user = one.user if uid == one.uid and one.user else "its user"
    return f" and nanoclaw_user to {user}" + (f" (nanoclaw_uid {uid})" if uid is not None else "")


def _stop(one: Installed) -> str:
    if not one.units:
        return f"stop process {one.loose[0]}"
    unit = one.units[0]
    manager = f"--user --machine={unit.uid}@ " if unit.manager == "user" else ""
    return f"stop it (systemctl {manager}disable --now {unit.name})"


def installs_request(plan: HostPlan) -> InstallsRequest:
    """What a host is asked about NanoClaw v2."""
    return InstallsRequest(plan.root, plan.host_ids.uid)
