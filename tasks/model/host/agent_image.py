"""The agent image: whether it is current, and whether its user is the one of the plan."""

from typing import Literal

from files.pods.source.image_state import ImageRecord, ImageState
from files.pods.source.protocol import ImageRequest
from tasks.model.fleet.plan import HostPlan
from tasks.model.host.service_unit import image_record
from tasks.model.platform.platform import DEBIAN_13

LOCK_LABEL = "dev.nanoclaw.agent-runner-lock-sha256"


def record_of(plan: HostPlan, current: ImageState) -> ImageRecord | None:
    """Return the record of the current image. A tree counts only for an image that was built from it."""
    if current.image is None or current.ids is None:
        return None
    tree = current.tree if plan.settings.nanoclaw_image == "build" else ""
    return ImageRecord(current.image, current.ids.uid, current.ids.gid, tree)


def due_step(plan: HostPlan, current: ImageState) -> Literal["build", "pull", "load"] | None:
    """Return how to get the image; None where it is current."""
    how = plan.settings.nanoclaw_image
    if current.image is None:
        return how
    built_from = current.record.tree if current.record else ""
    return "build" if how == "build" and built_from != current.tree else None


def refusals(current: ImageState) -> list[str]:
    """Return why Docker on this machine cannot run agents, each with the way out."""
    if current.docker.startswith("docker is Podman"):
        return [f"{current.docker}, and NanoClaw needs Docker itself: run apt-get remove podman-docker, then run again"]
    if current.docker:
        return [f"Docker does not answer ({current.docker}): start {DEBIAN_13.docker_unit} and run again"]
    if current.shifts:
        how = "rootless or with userns-remap"
        return [f"Docker runs {how}, so that no agent has the ids of the plan: use a daemon that does neither"]
    return []


def expected_ids(plan: HostPlan) -> tuple[int, int] | None:
    """Return the ids that the USER of the image must have; None where NanoClaw starts agents with other ids."""
    return plan.image_user.pair if plan.runs_as_image_user else None


def user_problem(plan: HostPlan, current: ImageState) -> str | None:
    """Return the problem of the current image's user, with the way out.

    Only where it counts: else NanoClaw starts the agent as the host process's ids.
    """
    if current.image is None or expected_ids(plan) is None:
        return None
    if current.ids is None:
        return user_missing(plan, current)
    if current.ids.uid == 0:
        return (
            f"the agent image {plan.image} runs as root, which Claude Code refuses: build it with a USER line, such as "
            "USER node, or give nanoclaw_user a uid other than 0 and 1000, which agents then have too"
        )
    if current.ids.gid == 0:
        return f"the agent image {plan.image} runs in group 0: give its USER line a group, such as USER node"
    if current.ids != plan.image_user:
        return (
            f"the agent image {plan.image} runs as {current.ids}, and the plan expects {plan.image_user}: "
            f"set nanoclaw_image_uid to {current.ids.uid} and nanoclaw_image_gid to {current.ids.gid} for this host"
        )
    return None


def lock_problem(plan: HostPlan, current: ImageState) -> str | None:
    """Return why agents of an image that the role has not built would end at their start, with the way out."""
    same = current.lock in ("", current.desired_lock) or not current.desired_lock
    if current.image is None or same or plan.settings.nanoclaw_image == "build":
        return None
    return (
        f"the agent image {plan.image} has the dependencies of another version of NanoClaw: its label {LOCK_LABEL} is "
        f"{current.lock[:12]}, and container/agent-runner/bun.lock of the checkout has {current.desired_lock[:12]}. "
        f'Set nanoclaw_image_name to an image of {plan.settings.nanoclaw_ref}, or nanoclaw_image to "build"'
    )


def user_missing(plan: HostPlan, current: ImageState) -> str:
    """Return the problem of an image that has no entry in passwd(5) for its USER."""
    return f"the agent image {plan.image} has USER {current.user!r}, which its passwd(5) lacks: build it with one"


def image_request(plan: HostPlan) -> ImageRequest:
    """What a host is asked about the agent image."""
    return ImageRequest(plan.image, plan.root, plan.host_ids.uid, plan.host_ids.gid, image_record(plan))
