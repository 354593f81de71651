"""What a machine of the @fake connector answers to the role's facts: the inventory of a run puts it into host data."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pyinfra import host

_EVERYTHING = re.compile("")
_LISTS = re.compile("apt-get update ")


class Answers(dict[Any, Any]):
    """pyinfra's `fake_responses`, worked out anew for each command.

    A fact is answered as `before`, until the operation that runs has sent a command: then it is answered as `after`.
    Each operation finds its own part undone, and sees it done when it looks again. New lists of packages alone do
    nothing yet.
    """

    def __init__(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        super().__init__()
        self._before, self._after = _as_responses(before), _as_responses(after)
        self._operation: str | None = None
        self.acted = False

    def __bool__(self) -> bool:
        return True

    def items(self) -> Any:
        if host.executing_op_hash != self._operation:
            self._operation, self.acted = host.executing_op_hash, False
        facts = self._after if self.acted else self._before
        return {**facts, _LISTS: "", _EVERYTHING: _Done(self)}.items()


class _Done(dict[str, Any]):
    """The answer to a command that is no fact: it went well. pyinfra reads it only where nothing else matched."""

    def __init__(self, answers: Answers) -> None:
        super().__init__()
        self._answers = answers

    def get(self, key: str, default: Any = None) -> Any:
        self._answers.acted = True
        return default


def _as_responses(facts: Mapping[str, Any]) -> dict[re.Pattern[str], str]:
    return {fact_pattern(name): json.dumps(document) for name, document in facts.items()}


def fact_pattern(program: str) -> re.Pattern[str]:
    """Matches a command that only looks, by one of the role's programs: pyinfra asks for python3 first."""
    return re.compile(rf"^if command -v python3 .*?# nanoclaw-pods ({program})\n", re.DOTALL)
