"""A reason why something is refused, with the way out."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """Name a problem, and the way out."""

    why: str
    way_out: str

    def __str__(self) -> str:
        return f"{self.why}: {self.way_out}"
