"""Cases that run one after the other, even if earlier ones fail."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping

from tests.lab.shell import say


def failing(cases: Mapping[str, Callable[[], object]]) -> list[str]:
    """Run each case, print how it went, and return the names of those that failed."""
    failed = []
    for what, case in cases.items():
        try:
            case()
            say(f"{what}: as it should be")
        except Exception:  # the next one is tried all the same
            failed.append(what)
            say(f"{what}: FAILED\n{traceback.format_exc(limit=3)}")
    return failed
