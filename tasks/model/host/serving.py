"""Whether a NanoClaw that was installed serves, with the code that is checked out."""

from files.pods.service.protocol import ServingState, ServingStateRequest
from tasks.model.fleet.plan import HostPlan
from tasks.model.host.service_unit import inputs, log_files, started_record
from tasks.model.versions.version_needs import health_problem


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
        onecli=plan.onecli,
    )
