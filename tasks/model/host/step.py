"""A step of a transition, as the role plans it for the runner on the machine (files/pods/transition/runner.py)."""

from dataclasses import dataclass
from typing import Literal

from files.pods.common.protocol import Request
from files.pods.transition.step_ids import Mark, StepId

Part = Literal["staging", "switching"]
SHORT = 600
"""Seconds for a step that does not grow with the data."""
LONG = 6 * 3600
"""Seconds for one that does, and runs while the old version serves."""


@dataclass(frozen=True)
class Step:
    """One program that runs on the machine, by its request. The runner and the journal go by id and marks."""

    id: StepId
    name: str
    """Shown to the operator, and nothing else."""
    request: Request
    seconds: int = SHORT
    marks: tuple[Mark, ...] = ()
    payload: str = ""
    """What the program itself reads from its standard input; it may be secret."""
