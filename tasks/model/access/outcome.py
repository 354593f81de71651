"""What becomes of an action, and by which rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["allowed", "denied", "unknown"]


@dataclass(frozen=True)
class Answer:
    """What becomes of an action, and the rule. `errno` says why it is denied, by its name."""

    outcome: Outcome
    errno: str | None
    reason: str


class NotAllowedError(Exception):
    """Ends an action where it is denied, or where nobody knows what becomes of it."""

    def __init__(self, outcome: Outcome, errno: str | None, reason: str) -> None:
        self.answer = Answer(outcome, errno, reason)
        super().__init__(reason)


def denied(errno: str, reason: str) -> NotAllowedError:
    """For an action that fails with an errno."""
    return NotAllowedError("denied", errno, reason)


def unknown(reason: str) -> NotAllowedError:
    """For an action of which it is not known what becomes of it."""
    return NotAllowedError("unknown", None, reason)
