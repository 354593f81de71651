"""What a machine knows of the agent image."""

from __future__ import annotations

from pyinfra.api.command import StringCommand

from tasks.facts.base import ProgramFact
from tasks.model.host.agent_image import ImageState


class AgentImage(ProgramFact[ImageState]):
    """The image's id, its user in numbers, what it was built from, and what the checkout has for it now."""

    program = "source.agent_image"
    document = ImageState

    def command(self, image: str, root: str, uid: int, gid: int, record: str) -> StringCommand:
        return self.ask(image=image, root=root, uid=uid, gid=gid, record=record)
