"""Versions of NanoClaw in their order: X.Y.Z, YYYY.M.P, and candidates such as X.Y.Z-rc.N (semver.org, section 11)."""

import re
from typing import NamedTuple

_IDENTIFIERS = r"[0-9A-Za-z-]{1,60}(?:\.[0-9A-Za-z-]{1,60}){0,9}"
_VERSION = re.compile(
    rf"v?([0-9]{{1,9}})\.([0-9]{{1,9}})\.([0-9]{{1,9}})(?:-({_IDENTIFIERS}))?(?:\+{_IDENTIFIERS})?", re.ASCII
)


class ReleaseVersion(NamedTuple):
    """A version; tuples of them compare as the versions do."""

    numbers: tuple[int, int, int]
    released: bool
    """A release comes after its candidates."""
    candidate: tuple[tuple[bool, int, str], ...]
    """Numbers come before texts."""


def release_version(text: str | None) -> ReleaseVersion | None:
    """Return the version that a text or a tag names; None for another text, such as a branch."""
    match = _VERSION.fullmatch(text or "")
    if not match:
        return None
    parts = match[4].split(".") if match[4] else []
    candidate = tuple((False, int(part), "") if part.isdigit() else (True, 0, part) for part in parts)
    return ReleaseVersion((int(match[1]), int(match[2]), int(match[3])), not parts, candidate)


def is_later(one: str | None, other: str | None) -> bool | None:
    """Whether a version comes after another; None where one of them cannot be read."""
    first, second = release_version(one), release_version(other)
    return None if first is None or second is None else first > second
