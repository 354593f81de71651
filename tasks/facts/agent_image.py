"""What a machine knows of the agent image."""

from __future__ import annotations

from typing import Any

from pyinfra.api.command import StringCommand

from tasks.facts.base import ProgramFact
from tasks.model.fleet.plan import HostPlan
from tasks.model.host.agent_image import ImageState
from tasks.model.host.service_unit import image_record


class AgentImage(ProgramFact[ImageState]):
    """The image's id, its user in numbers, what it was built from, and what the checkout has for it now."""

    program = "source.agent_image"
    document = ImageState

    def command(self, image: str, root: str, uid: int, gid: int, record: str) -> StringCommand:
        return self.ask(image=image, root=root, uid=uid, gid=gid, record=record)


def image_request(plan: HostPlan) -> dict[str, Any]:
    """What is asked of a host."""
    ids = {"uid": plan.host_ids.uid, "gid": plan.host_ids.gid}
    return {"image": plan.image, "root": plan.root, **ids, "record": image_record(plan)}
