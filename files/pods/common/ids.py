"""A uid and a gid in requests and replies."""

from __future__ import annotations

from dataclasses import dataclass

HIGHEST_ID = 2**32 - 2
"""The last uid and gid of Linux; the one after it means "leave as it is" to chown(2)."""


class IdentityError(ValueError):
    """An id, or an option, that does not exist."""


def check_id(name: str, value: int) -> None:
    """Raise IdentityError where Linux has no such id."""
    if not 0 <= value <= HIGHEST_ID:
        raise IdentityError(f"{name} {value} does not exist: ids go from 0 to {HIGHEST_ID}")


@dataclass(frozen=True)
class Ids:
    """A uid and a gid, numeric: names differ between machines. IdentityError where Linux has no such id."""

    uid: int
    gid: int

    def __post_init__(self) -> None:
        check_id("uid", self.uid)
        check_id("gid", self.gid)

    def __str__(self) -> str:
        return f"{self.uid}:{self.gid}"

    @property
    def pair(self) -> tuple[int, int]:
        """Both, as requests have them."""
        return self.uid, self.gid
