"""How fake machines reply to one program of files/pods, where the reply depends on the whole plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Fake:
    """The requests of a program, and its replies in each state of a machine (see tests/fake/machines.py)."""

    requests: list[dict[str, Any]]
    """Each in full and stated from the plan, not by the functions of the role."""
    finished: Any
    bare: Any = None
    """None: such a machine is not asked."""
    underway: Any = None
    """None: it replies as a bare one."""

    def reply(self, state: str) -> Any:
        """Return the reply in a state."""
        return {"bare": self.bare, "finished": self.finished, "underway": self.underway or self.bare}[state]
