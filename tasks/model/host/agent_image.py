"""The agent image: whether it is there and current, and whether its user is the one that the plan counts on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from files.pods.source.protocol import ImageRequest
from tasks.model.access.identity import Ids, agent_of
from tasks.model.fleet.plan import HostPlan
from tasks.model.host.service_unit import image_record


@dataclass(frozen=True)
class ImageRecord:
    """What the machine keeps of an image: its id, its user, and the container/ tree that it was built from."""

    image: str
    uid: int
    gid: int
    tree: str


@dataclass(frozen=True)
class ImageState:
    """What a machine says of the agent image.

    `docker`: "" or why the daemon does not answer. `shifts`: it runs containers with other ids than it says
    (rootless, userns-remap). `image`: the id, or None where there is none. `user`: its USER as written, and
    `ids` what that means in the image; None where the image has no such user. `tree`: of container/ in the
    checkout, with its local changes; "" without a checkout.
    """

    docker: str
    shifts: bool
    image: str | None
    user: str
    ids: Ids | None
    tree: str
    record: ImageRecord | None


def record_of(plan: HostPlan, seen: ImageState) -> ImageRecord | None:
    """What is to be kept of the image that is there. A tree counts for an image that was built from it only."""
    if seen.image is None or seen.ids is None:
        return None
    tree = seen.tree if plan.settings.nanoclaw_image == "build" else ""
    return ImageRecord(seen.image, seen.ids.uid, seen.ids.gid, tree)


def wanted_step(plan: HostPlan, seen: ImageState) -> Literal["build", "pull", "load"] | None:
    """How the image is to be got, or None where it is there and current."""
    how = plan.settings.nanoclaw_image
    if seen.image is None:
        return how
    built_from = seen.record.tree if seen.record else ""
    return "build" if how == "build" and built_from != seen.tree else None


def refusals(plan: HostPlan, seen: ImageState) -> list[str]:
    """Why no image helps on this machine, or why this one does not, each with the way out."""
    if seen.docker.startswith("docker is Podman"):
        return [f"{seen.docker}: NanoClaw needs Docker itself (apt-get remove podman-docker), then run again"]
    if seen.docker:
        return [f"Docker does not answer ({seen.docker}): start docker.service and run again"]
    if seen.shifts:
        how = "rootless or with userns-remap"
        return [f"Docker runs {how}, so that no agent has the ids of the plan: use a daemon that does neither"]
    return []


def user_problem(plan: HostPlan, seen: ImageState) -> str | None:
    """What is wrong with the user of the image that is there, with the way out.

    Only where it counts: NanoClaw starts the agent as the host process's ids unless that is root or uid 1000.
    """
    if seen.image is None or agent_of(plan.host_ids, plan.image_user) != plan.image_user:
        return None
    if seen.ids is None:
        return user_missing(plan, seen)
    if seen.ids.uid == 0:
        return (
            f"the agent image {plan.image} runs as root, which Claude Code refuses: build it with a USER line, "
            f"such as USER node, or run the host process as another user than root"
        )
    if seen.ids.gid == 0:
        return f"the agent image {plan.image} runs in group 0: give its USER line a group, such as USER node"
    if seen.ids != plan.image_user:
        return (
            f"the agent image {plan.image} runs as {seen.ids}, and the plan counts on {plan.image_user}: "
            f"set nanoclaw_image_uid to {seen.ids.uid} and nanoclaw_image_gid to {seen.ids.gid} for this host"
        )
    return None


def user_missing(plan: HostPlan, seen: ImageState) -> str:
    """What is wrong with an image whose USER is not in its passwd(5)."""
    return f"the agent image {plan.image} has USER {seen.user!r}, and no such user: build it with one"


def image_request(plan: HostPlan) -> ImageRequest:
    """What a host is asked about the agent image."""
    return ImageRequest(plan.image, plan.root, plan.host_ids.uid, plan.host_ids.gid, image_record(plan))
