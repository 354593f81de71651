"""Every reply of the role, for tests that go through all of them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from files.pods.common.protocol import Reply

PROJECT = Path(__file__).resolve().parents[1]


def every_reply() -> list[type[Reply]]:
    """The classes of all replies, by the names of their entries."""
    for path in [*(PROJECT / "files/pods").rglob("protocol.py"), *(PROJECT / "tasks/model").rglob("*.py")]:
        import_module(".".join(path.relative_to(PROJECT).with_suffix("").parts))
    return sorted(Reply.__subclasses__(), key=lambda reply: reply.request.entry)
