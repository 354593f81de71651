"""Ranges of versions as package.json's `engines` writes them (node-semver(7))."""

from __future__ import annotations

import re

Version = tuple[int, int, int]

_PART = r"(\d{1,9}|[xX*](?!\.\d))"
_PARTIAL = rf"[v=\s]*{_PART}(?:\.{_PART}(?:\.{_PART}(-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?)?)?"
_COMPARATOR = re.compile(rf"(>=|<=|>|<|~>?|\^)?\s*{_PARTIAL}")
_HYPHEN = re.compile(rf"\s*{_PARTIAL}\s+-\s+{_PARTIAL}\s*")
_END: Version = (1 << 31, 0, 0)


def accepts(text: str, version: str) -> bool | None:
    """Whether a version of Node is in a range; None where either cannot be read."""
    found = re.match(r"v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})", version)
    if not found:
        return None
    number = (int(found[1]), int(found[2]), int(found[3]))
    answers = [_in_all(part, number) for part in text.split("||")]
    return None if None in answers else any(answers)


def _in_all(text: str, number: Version) -> bool | None:
    if hyphen := _HYPHEN.fullmatch(text):
        low, high = _span(hyphen.groups()[:3])[0], _span(hyphen.groups()[4:7])[1]
        return None if hyphen[8] else low <= number < high
    rest, inside = text.strip(), True
    while rest:
        found = _COMPARATOR.match(rest)
        if not found or (rest[found.end() :] and not rest[found.end()].isspace()):
            return None
        operator = found[1] or ""
        if found[5] and operator in ("", ">", "<="):  # a release comes after its candidates
            return None
        low, high = _bounds(operator, found.groups()[1:4])
        inside = inside and low <= number < high
        rest = rest[found.end() :].strip()
    return inside


def _span(parts: tuple[str | None, ...]) -> tuple[Version, Version]:
    """The first version that a partial one stands for, and the first one after those."""
    numbers = []
    for part in parts:
        if part is None or part in "xX*":
            break
        numbers.append(int(part))
    if not numbers:
        return (0, 0, 0), _END
    low = (*numbers, 0, 0)[:3]
    high = (*numbers[:-1], numbers[-1] + 1, 0, 0)[:3]
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])


def _bounds(operator: str, parts: tuple[str | None, ...]) -> tuple[Version, Version]:
    low, high = _span(parts)
    if operator == ">=":
        return low, _END
    if operator == ">":
        return high, _END
    if operator == "<":
        return (0, 0, 0), low
    if operator == "<=":
        return (0, 0, 0), high
    if operator.startswith("~"):
        return low, (low[0], low[1] + 1, 0) if parts[1] and parts[1] not in "xX*" else high
    if operator == "^" and high != _END:
        if low[0] > 0 or not parts[1] or parts[1] in "xX*":
            return low, (low[0] + 1, 0, 0)
        return low, (0, low[1] + 1, 0) if low[1] > 0 or not parts[2] or parts[2] in "xX*" else high
    return low, high
