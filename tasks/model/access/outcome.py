"""The outcome of an action, and the rule behind it."""

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["allowed", "denied", "unknown"]


@dataclass(frozen=True)
class Answer:
    """The outcome of an action, and the rule. `errno` is the name of the error where it is denied."""

    outcome: Outcome
    errno: str | None
    reason: str


class NotAllowedError(Exception):
    """End an action that is denied, or has an unknown outcome."""

    def __init__(self, outcome: Outcome, errno: str | None, reason: str) -> None:
        self.answer = Answer(outcome, errno, reason)
        super().__init__(reason)


def denied(errno: str, reason: str) -> NotAllowedError:
    """Return the exception for an action that fails with an errno."""
    return NotAllowedError("denied", errno, reason)


def unknown(reason: str) -> NotAllowedError:
    """Return the exception for an action with an unknown outcome."""
    return NotAllowedError("unknown", None, reason)
