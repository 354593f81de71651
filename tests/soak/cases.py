"""Cases that are tried one after the other, whatever becomes of those before."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping

from tests.lab.shell import say


def failing(cases: Mapping[str, Callable[[], object]]) -> list[str]:
    """The names of those that failed; each is said with how it went."""
    failed = []
    for what, case in cases.items():
        try:
            case()
            say(f"{what}: as it should be")
        except Exception:  # the next one is tried all the same
            failed.append(what)
            say(f"{what}: FAILED\n{traceback.format_exc(limit=3)}")
    return failed
