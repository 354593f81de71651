"""Proof that agents can write: server.shell would say in each run that it has changed something."""

from pyinfra import host, state
from pyinfra.api.exceptions import OperationError

import files.pods.probe.timeouts as timeouts
from files.pods.probe.protocol import Observations, ProbeRequest
from files.pods.service.protocol import ServingState
from files.pods.source.image_state import ImageState
from tasks.facts import Question
from tasks.model.fleet.plan import HostPlan
from tasks.model.host.agent_image import image_request, lock_problem
from tasks.model.host.serving import serving_problem, serving_request
from tasks.model.ownership.diagnosis import diagnose, summary
from tasks.model.ownership.guard import guard_unit
from tasks.model.ownership.trees import host_trees
from tasks.operations.base import Commands, pods_operation, read_state
from tasks.replies import ask_together
from tasks.report import log


@pods_operation
def agent_writes(plan: HostPlan) -> Commands:
    """Make a scratch session as the host, work in it as the agent, and check that the agent may write what exists.

    First the service itself has to answer on its socket, in its present start, from a build of what is checked out.
    An image that was pulled or loaded must have the dependencies of that, by its label.

    Owns: .nanoclaw-pods-probe-… in the sessions and groups, for as long as it runs. Leaves alone: all else.
    Changes: never. A check phase and a dry run do nothing. Errors: the cause of what does not work, and the way out.
    """
    if not state.is_executing:
        host.noop("verified at the end of a real run")
        return
    questions = [Question(ServingState, serving_request(plan)), Question(Observations, probe_request(plan))]
    is_built = plan.settings.nanoclaw_image == "build"
    ask_together(host, questions if is_built else [*questions, Question(ImageState, image_request(plan))])
    serving = read_state(ServingState, serving_request(plan))
    if problem := serving_problem(serving, plan):
        raise OperationError(f"failed | not serving | {problem}")
    observed = read_state(Observations, probe_request(plan))
    if finding := diagnose(observed, plan):
        raise OperationError(f"failed | {finding.cause} | {finding.text}")
    if not is_built and (problem := lock_problem(plan, read_state(ImageState, image_request(plan)))):
        raise OperationError(f"failed | agent image | {problem}")
    log(summary(observed, plan))
    host.noop("the agent can write")
    yield from ()


def probe_request(plan: HostPlan) -> ProbeRequest:
    """The request of a probe of a host."""
    return ProbeRequest(
        sessions=plan.sessions,
        groups=plan.groups,
        mounts=sorted({tree.mount for tree in host_trees(plan) if tree.mount}),
        host=plan.host_ids.pair,
        agent=plan.agent.pair,
        user=None if plan.runs_as_image_user else str(plan.host_ids),
        image=plan.image,
        wait=timeouts.GUARD if plan.strategy.needs_guard else 0,
        guard=guard_unit(plan),
        heal=timeouts.HOT_JOURNAL,
        slug=plan.slug,
    )
