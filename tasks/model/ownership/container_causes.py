"""The causes of a failed probe that lie with Docker and the agent's container; rules of diagnosis.py."""

from files.pods.probe.protocol import Observations
from tasks.model.access.identity import Ids
from tasks.model.fleet.plan import HostPlan


def no_docker(probe: Observations, plan: HostPlan) -> str | None:
    """Docker does not answer."""
    if probe.container is None or probe.container.state != "no docker":
        return None
    return f"Docker does not answer ({_last(probe.container.text)}): see systemctl status docker"


def image_missing(probe: Observations, plan: HostPlan) -> str | None:
    """There is no agent image."""
    if probe.container is None or probe.container.state != "no image":
        return None
    return f"Docker has no agent image {plan.image}: docker system prune may have removed it. Run again to make it"


def container(probe: Observations, plan: HostPlan) -> str | None:
    """The container did not start."""
    if probe.container is None or probe.container.state != "failed":
        return None
    return f"the agent's container did not start, code {probe.container.code}: {_last(probe.container.text)}"


def container_unfinished(probe: Observations, plan: HostPlan) -> str | None:
    """The container ended before its last step."""
    if probe.container is None or probe.container.state != "unfinished":
        return None
    code = "no end in time" if probe.container.code is None else f"code {probe.container.code}"
    return (
        f"the agent's container ended before its last step, {code} (137: killed, as without memory): "
        f"{_last(probe.container.text)}. See docker events and dmesg, then run again"
    )


def wrong_id(probe: Observations, plan: HostPlan) -> str | None:
    """The image's USER is not the one of the plan."""
    ids = Ids(*probe.container.ids) if probe.container and probe.container.ids else None
    if ids is None or ids == plan.agent:
        return None
    return (
        f"the container runs as {ids} and the plan says {plan.agent}: set nanoclaw_image_uid to {ids.uid} and "
        f"nanoclaw_image_gid to {ids.gid}, the image's USER"
    )


def _last(text: str) -> str:
    return " / ".join(text.strip().splitlines()[-2:]) or "no output"
