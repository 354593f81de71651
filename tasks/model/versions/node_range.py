"""Ranges of versions as package.json's `engines` writes them (node-semver(7))."""

import re

Version = tuple[int, int, int]

_PART = r"(\d{1,9}|[xX*](?!\.\d))"
_PARTIAL = rf"[v=\s]*{_PART}(?:\.{_PART}(?:\.{_PART}(-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?)?)?"
_COMPARATOR = re.compile(rf"(>=|<=|>|<|~>?|\^)?\s*{_PARTIAL}")
_HYPHEN = re.compile(rf"\s*{_PARTIAL}\s+-\s+{_PARTIAL}\s*")
_END: Version = (1 << 31, 0, 0)


def accepts(text: str, version: str) -> bool | None:
    """Whether a version of Node is in a range; None where either cannot be read."""
    match = re.match(r"v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})", version)
    if not match:
        return None
    number = (int(match[1]), int(match[2]), int(match[3]))
    answers = [_in_all(part, number) for part in text.split("||")]
    return None if None in answers else any(answers)


def _in_all(text: str, number: Version) -> bool | None:
    if hyphen := _HYPHEN.fullmatch(text):
        low, high = _span(_numbers(hyphen.groups()[:3]))[0], _span(_numbers(hyphen.groups()[4:7]))[1]
        return None if hyphen[8] else low <= number < high
    rest, inside = text.strip(), True
    while rest:
        match = _COMPARATOR.match(rest)
        if not match or (rest[match.end() :] and not rest[match.end()].isspace()):
            return None
        operator = match[1] or ""
        if match[5] and operator in ("", ">", "<="):  # a release comes after its candidates
            return None
        low, high = _bounds(operator, _numbers(match.groups()[1:4]))
        inside = inside and low <= number < high
        rest = rest[match.end() :].strip()
    return inside


def _numbers(parts: tuple[str | None, ...]) -> list[int]:
    """The numbers of a partial version; an x stands for any and ends them."""
    return [int(part) for part in parts if part and part.isdigit()]


def _version(numbers: list[int]) -> Version:
    """The first version that begins with these numbers."""
    major, minor, patch = [*numbers, *[0] * (3 - len(numbers))]
    return major, minor, patch


def _span(numbers: list[int]) -> tuple[Version, Version]:
    """The first version that a partial one stands for, and the first one after those."""
    if not numbers:
        return _version([]), _END
    return _version(numbers), _version([*numbers[:-1], numbers[-1] + 1])


def _bounds(operator: str, numbers: list[int]) -> tuple[Version, Version]:
    low, high = _span(numbers)
    if operator == ">=":
        return low, _END
    if operator == ">":
        return high, _END
    if operator == "<":
        return _version([]), low
    if operator == "<=":
        return _version([]), high
    if operator == "^":  # the first number that is not 0 stays
        kept = next((place for place, number in enumerate(numbers, 1) if number), len(numbers))
        return low, _span(numbers[:kept])[1]
    if operator:  # ~ and ~>: the second number stays
        return low, _span(numbers[:2])[1]
    return low, high
