"""The agents' image; docker.image pulls a missing one, and checks neither its USER nor what it was built from."""

from __future__ import annotations

import dataclasses
import json

from pyinfra import host, state
from pyinfra.api.exceptions import OperationError

from tasks.command import argv, run_program, value, write_file
from tasks.facts import AgentImage
from tasks.model.fleet.plan import HostPlan
from tasks.model.host.agent_image import (
    ImageState,
    image_request,
    record_of,
    refusals,
    user_missing,
    user_problem,
    wanted_step,
)
from tasks.model.host.service_unit import image_record
from tasks.operations.base import Commands, lasting_operation, look
from tasks.operations.dry_run import is_pending, mark_pending
from tasks.report import say


def _look(plan: HostPlan) -> ImageState:
    return look(AgentImage, image_request(plan))


@lasting_operation
def agent_image(plan: HostPlan) -> Commands:
    """Gets the agent image and makes sure that its USER is the one that the plan counts on.

    Owns: the image under the name that the host process starts, and /var/lib/nanoclaw-pods/<unit>.image.json: its id,
    its user in numbers, the container/ tree that it was built from. Leaves alone: other images, running containers.
    Changes: builds when the image is missing or container/ of the checkout is not what it was built from; pulls or
    loads when it is missing; writes the record when the image is another one.
    Errors: Docker does not answer or shifts ids; the image's user is root or not the plan's (where it counts).

    + plan: the host's plan
    """
    seen = _look(plan)
    step = wanted_step(plan, seen)
    # Docker itself comes with an earlier operation: a check of a bare machine predicts the image, too.
    if step is None and plan.settings.nanoclaw_image == "build" and is_pending("container"):
        say(f"{plan.image} is built again if container/ is another one in the source that is going to be checked out")
        step = "build"
    refused = refusals(plan, seen) if state.is_executing or not seen.docker else []
    problem = None if step else user_problem(plan, seen)
    if refused or problem:
        raise OperationError("; ".join([*refused, *([problem] if problem else [])]))
    if step is None and record_of(plan, seen) in (None, seen.record):
        host.noop(f"{plan.image} is there and runs as {seen.ids}")
        return
    mark_pending("image")
    if step == "build":
        yield run_program("source.build_image", {"root": plan.root, "lock": plan.lock, **plan.host_user})
    elif step == "pull":
        yield argv("docker", "pull", "--quiet", value(plan.image))
    elif step == "load":
        yield argv("docker", "load", "--quiet", "--input", str(plan.settings.nanoclaw_image_archive))
    if step:
        seen = _look(plan)
        problem = user_problem(plan, seen) or _after_step(plan, step, seen)
        if problem:
            raise OperationError(problem)
    record = record_of(plan, seen)
    if record is not None and record != seen.record:
        yield write_file(image_record(plan), json.dumps(dataclasses.asdict(record)) + "\n")


def _after_step(plan: HostPlan, step: str, seen: ImageState) -> str | None:
    """Why the next run would get the image again: it has another name, or a user that no record can name."""
    if seen.image is None:
        source = {"load": plan.settings.nanoclaw_image_archive, "build": f"{plan.root}/container/build.sh"}.get(step)
        return f"there is no image {plan.image} after its {step}: {source or 'the registry'} has another name for it"
    return user_missing(plan, seen) if step == "build" and seen.ids is None else None
