"""The agents' image; docker.image pulls a missing one, and checks neither its USER nor what it was built from."""

import dataclasses
import json

from pyinfra import host, state
from pyinfra.api.exceptions import OperationError

from files.pods.source.image_state import ImageState
from files.pods.source.protocol import BuildImageRequest
from tasks.command import argv, run_request, value, write_file
from tasks.model.fleet.plan import HostPlan
from tasks.model.host.agent_image import (
    due_step,
    image_request,
    record_of,
    refusals,
    user_missing,
    user_problem,
)
from tasks.model.host.service_unit import image_record
from tasks.operations.base import Commands, lasting_operation, read_state
from tasks.operations.dry_run import is_pending, mark_pending
from tasks.report import say


@lasting_operation
def agent_image(plan: HostPlan) -> Commands:
    """Build, pull or load the agent image, and check that its USER is the one of the plan.

    Owns: the image under the name that the host process starts, and /var/lib/nanoclaw-pods/<unit>.image.json: its id,
    its user in numbers, the container/ tree that it was built from. Leaves alone: other images, running containers.
    Changes: builds when the image is missing or container/ of the checkout is not what it was built from; pulls or
    loads when it is missing; writes the record when the image is another one.
    Errors: Docker does not answer or shifts ids; the image's user is root or not the plan's (where it counts).
    """
    current = read_state(ImageState, image_request(plan))
    step = due_step(plan, current)
    # Docker itself comes with an earlier operation: a check of a bare machine predicts the image, too.
    if step is None and plan.settings.nanoclaw_image == "build" and is_pending("container"):
        say(f"{plan.image} is built again if container/ differs in the source that this run checks out")
        step = "build"
    refused = refusals(current) if state.is_executing or not current.docker else []
    problem = None if step else user_problem(plan, current)
    if refused or problem:
        raise OperationError("; ".join([*refused, *([problem] if problem else [])]))
    if step is None and record_of(plan, current) in (None, current.record):
        host.noop(f"{plan.image} exists and runs as {current.ids}")
        return
    mark_pending("image")
    if step == "build":
        yield run_request(BuildImageRequest(root=plan.root, lock=plan.lock, **plan.host_user))
    elif step == "pull":
        yield argv("docker", "pull", "--quiet", value(plan.image))
    elif step == "load":
        yield argv("docker", "load", "--quiet", "--input", str(plan.settings.nanoclaw_image_archive))
    if step:
        current = read_state(ImageState, image_request(plan))
        problem = user_problem(plan, current) or _after_step(plan, step, current)
        if problem:
            raise OperationError(problem)
    record = record_of(plan, current)
    if record is not None and record != current.record:
        yield write_file(image_record(plan), json.dumps(dataclasses.asdict(record)) + "\n")


def _after_step(plan: HostPlan, step: str, current: ImageState) -> str | None:
    """Why the next run would get the image again: it has another name, or a user that no record can name."""
    if current.image is None:
        source = {"load": plan.settings.nanoclaw_image_archive, "build": f"{plan.root}/container/build.sh"}.get(step)
        return f"no image is named {plan.image} after the {step}: {source or 'the registry'} uses another name"
    return user_missing(plan, current) if step == "build" and current.ids is None else None
