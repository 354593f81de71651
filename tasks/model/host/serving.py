"""Whether a NanoClaw that was installed serves, with the code that is checked out."""

from dataclasses import dataclass

from files.pods.common.protocol import Reply
from files.pods.service.protocol import ServingStateRequest
from tasks.model.fleet.plan import HostPlan
from tasks.model.host.service_unit import inputs, log_files, started_record
from tasks.model.versions.version_needs import Health, health_problem


@dataclass(frozen=True)
class ServingState(Reply):
    """What `files/pods/service/serving_state.py` says of a service."""

    request = ServingStateRequest

    answers: bool
    why: str
    """Why it does not answer."""
    output: list[str]
    """The end of its error log, where it does not."""
    outdated: list[str] | None
    """The inputs that changed since the service started; None where no start has noted them."""
    commit: str | None
    """What is checked out."""
    built: str | None
    """The commit that was built last."""
    health: Health | None
    """What OneCLI answered, where the checkout needs its /v1 and ONECLI_URL is set."""


def serving_problem(current: ServingState, plan: HostPlan) -> str | None:
    """Why the service does not serve what is checked out, with the way out."""
    if not current.answers:
        output = "\n".join(["", "its error log ends with:", *current.output]) if current.output else ""
        return f"{current.why}: see journalctl -u {plan.unit}, then run again{output}"
    if current.commit is None:
        return f"git does not say what is checked out in {plan.root}: see git -C {plan.root} status"
    if current.built != current.commit:
        return (
            f"{plan.unit} runs a build of {(current.built or 'nothing')[:12]}, and {current.commit[:12]} is checked "
            "out: run again"
        )
    if current.outdated is None:
        return f"{plan.unit} has no record of what it started with: run again"
    if current.outdated:
        return f"{plan.unit} started before a change ({', '.join(current.outdated)}): run again"
    return health_problem(current.health, plan.settings.nanoclaw_ref)


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
