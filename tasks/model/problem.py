"""What host data is refused for: a reason, which is a code that no other refusal has, and a text for operators."""

from collections.abc import Iterable
from typing import NamedTuple


class SettingProblem(NamedTuple):
    """A setting of one machine, why it is refused, and the text for operators."""

    key: str
    reason: str
    text: str


SettingProblems = Iterable[SettingProblem]


class UnfitError(ValueError):
    """A machine that cannot be brought to its plan. The text names what is there and the way out."""


class WrongValueError(ValueError):
    """A value that a setting does not accept. `accepts` follows "expects" in the message."""

    def __init__(self, reason: str, accepts: str) -> None:
        super().__init__(accepts)
        self.reason = reason
