"""Whether a NanoClaw that was installed serves, with the code that is checked out."""

from __future__ import annotations

from dataclasses import dataclass

from files.pods.service.protocol import ServingStateRequest
from tasks.model.fleet.plan import HostPlan
from tasks.model.host.service_unit import inputs, log_files, started_record
from tasks.model.versions.version_needs import Health, health_problem


@dataclass(frozen=True)
class ServingState:
    """What `files/pods/service/serving_state.py` says of a service."""

    answers: bool
    why: str
    """Why it does not answer."""
    said: list[str]
    """The end of its error log, where it does not."""
    outdated: list[str] | None
    """The inputs that changed since the service started; None where no start has noted them."""
    commit: str | None
    """What is checked out."""
    built: str | None
    """The commit that was built last."""
    health: Health | None
    """What OneCLI answered, where the checkout needs its /v1 and ONECLI_URL is set."""


def serving_problem(found: ServingState, plan: HostPlan) -> str | None:
    """Why the service does not serve what is checked out, with the way out."""
    if not found.answers:
        said = "\n".join(["", "its error log ends with:", *found.said]) if found.said else ""
        return f"{found.why}: see journalctl -u {plan.unit}, then run again{said}"
    if found.commit is None:
        return f"git does not say what is checked out in {plan.root}: see git -C {plan.root} status"
    if found.built != found.commit:
        return (
            f"{plan.unit} runs a build of {(found.built or 'nothing')[:12]}, and {found.commit[:12]} is checked out: "
            "run again"
        )
    if found.outdated is None or found.outdated:
        since = ", ".join(found.outdated or ["what it started with is not known"])
        return f"{plan.unit} started before a change ({since}): run again"
    return health_problem(found.health, plan.settings.nanoclaw_ref)


def serving_request(plan: HostPlan) -> ServingStateRequest:
    """What a host is asked about its service once it is installed."""
    return ServingStateRequest(
        unit=plan.unit,
        root=plan.root,
        **plan.host_user,
        inputs=list(inputs(plan)),
        started=started_record(plan),
        errors=log_files(plan)[1],
        onecli=plan.settings.nanoclaw_environment.get("ONECLI_URL"),
    )
