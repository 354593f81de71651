"""What is made of measurements: RPCs by operation, percentiles, ratios. Nothing is measured here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any


def rpcs(mountstats: str, mount: str) -> dict[str, int]:
    """RPCs by operation since a mount was made, from the text of /proc/self/mountstats; without those never sent."""
    counts: dict[str, int] = {}
    inside = counting = False
    for line in mountstats.splitlines():
        fields = line.split()
        if line.startswith("device "):
            inside, counting = f" mounted on {mount} with " in line, False
        elif inside and fields[:1] == ["per-op"]:
            counting = True
        elif inside and counting and len(fields) > 2 and fields[0].endswith(":"):
            counts[fields[0].rstrip(":")] = int(fields[2])  # transmissions: what went over the wire, repeats too
    return {name: number for name, number in counts.items() if number}


def between(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """RPCs that were sent meanwhile, by operation, and their total."""
    sent = {name: number - before.get(name, 0) for name, number in after.items()}
    sent = {name: number for name, number in sorted(sent.items()) if number}
    return {**sent, "total": sum(sent.values())}


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all values does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def spread(values: Sequence[float]) -> dict[str, float]:
    """The middle, the 99th percentile and the worst of some seconds."""
    percentiles = {"p50": percentile(values, 0.5), "p99": percentile(values, 0.99), "worst": max(values)}
    return {name: round(value, 3) for name, value in percentiles.items()}


def ratio(part: float | None, whole: float | None) -> float | None:
    """part / whole, or None where one of them was not measured."""
    return None if part is None or not whole else round(part / whole, 2)


def at(document: Any, *keys: str) -> Any:
    """A value deep in a document, or None where something on the way was not measured."""
    for key in keys:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document


def ratios(cases: Mapping[str, Any], wrong: int) -> dict[str, float | None]:
    """The ratios of one tree. Without NFS there are no RPCs, and what is made of them is None.

    + wrong: how many entries were wrong in the case "some"
    """
    right = cases.get("nothing", {})
    extra = [at(cases.get(case), "ours", "run", "rpcs", "total") for case in ("some", "nothing")]
    quotients: dict[str, float | None] = {}
    for limit in ("find", "find_owners"):
        for what, keys in (("seconds", ("seconds",)), ("rpcs", ("rpcs", "total"))):
            ours = at(right, "ours", "run", *keys)
            quotients[f"nothing: ours / {limit}, {what}"] = ratio(ours, at(right, limit, *keys))
    for other in ("ours/run", "find"):  # the second is what the first could come to
        for what, keys in (("seconds", ("seconds",)), ("rpcs", ("rpcs", "total"))):
            against = at(right, *other.split("/"), *keys)
            quotients[f"nothing: chown / {other.split('/')[0]}, {what}"] = ratio(at(right, "chown", *keys), against)
    for case in ("nothing", "all"):
        served = at(cases.get(case), "served", "run", "seconds")
        quotients[f"{case}: chown / served, seconds"] = ratio(at(cases.get(case), "chown", "seconds"), served)
    for case in ("nothing", "some", "all"):
        ours = at(cases.get(case), "ours", "run", "seconds")
        for other in ("chown", "pyinfra", "ansible"):
            quotients[f"{case}: {other} / ours, seconds"] = ratio(at(cases.get(case), other, "seconds"), ours)
    quotients["some: extra rpcs of ours for each wrong entry"] = (
        None if None in extra else ratio(extra[0] - extra[1], wrong)
    )
    return quotients
