"""What a machine of the @fake connector answers to the role's facts: the inventory of a run puts it into host data."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

from pyinfra import host

from tasks.bundle import BOOT, boot_argv, entry_of, request_line

Requests = Mapping[str, list[dict[str, Any]]]
"""By the name of a program: requests that are answered, each with all of its arguments."""

_BOOT = re.escape(shlex.quote(BOOT) + " ")
_EVERYTHING = re.compile("")
_LISTS = re.compile("apt-get update ")


class Answers(dict[Any, Any]):
    """pyinfra's `fake_responses`, worked out anew for each command.

    A fact is answered as `before`, until the operation that runs has sent a command: then it is answered as `after`.
    Each operation finds its own part undone, and sees it done when it looks again. New lists of packages alone do
    nothing yet. A fact that asks for something else than `requests` says fails.
    """

    def __init__(self, before: Mapping[str, Any], after: Mapping[str, Any], requests: Requests) -> None:
        super().__init__()
        self._before, self._after = _as_responses(before, requests), _as_responses(after, requests)
        self.operation: str | None = None
        self.acted = False

    def __bool__(self) -> bool:
        return True

    def items(self) -> Any:
        if host.executing_op_hash != self.operation:
            self.operation, self.acted = host.executing_op_hash, False
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


def _as_responses(facts: Mapping[str, Any], requests: Requests) -> dict[re.Pattern[str], Any]:
    found: dict[re.Pattern[str], Any] = {}
    for name, document in facts.items():
        stated = requests.get(name, [])
        for request in stated:
            found[fact_pattern(name, request)] = json.dumps(narrowed(document, request))
        text = f"{name} of the fake is asked {json.dumps(stated, sort_keys=True)}, and not this"
        found[fact_pattern(name)] = {"success": False, "stderr": text}
    return found


def narrowed(document: Any, request: Mapping[str, Any]) -> Any:
    """What of a document a request asks for, where the two have a part of the same name: a mapping by what is asked."""
    if not isinstance(document, dict):
        return document
    parts = {
        key: set(asked) for key, asked in request.items() if isinstance(asked, list) and _is_mapping(document, key)
    }
    return {
        key: {name: it for name, it in part.items() if name in parts[key]} if key in parts else part
        for key, part in document.items()
    }


def _is_mapping(document: dict[str, Any], key: str) -> bool:
    return isinstance(document.get(key), dict)


def fact_pattern(program: str, request: Mapping[str, Any] | None = None) -> re.Pattern[str]:
    """Matches a command that only looks, by one of the role's programs (see `with_request`).

    + request: all of its arguments. They stand in the last line, as JSON.
    """
    head = rf"^if command -v python3 [^\n]*{_BOOT}({program}) "
    if request is None:
        return re.compile(head)
    return re.compile(rf"{head}[^\n]*\n[^\n]*{re.escape(json.dumps({'request': request}, sort_keys=True)[1:-1])}}}\Z")


def asked_alone(entry: str, request: Any) -> str:
    """The command, with its request, of a fact that is asked alone."""
    run = f"{shlex.join(boot_argv(entry)[:-1])} {entry}"
    return with_request(
        f"if command -v python3 >/dev/null 2>&1; then {run} ; else", ["\n", request_line(request, mark=True)]
    )


def with_request(command: str, stdin: Any) -> str:
    """A command, and on another line the request that goes to a program of the role by standard input."""
    if entry_of(command) is None:
        return command
    lines = "".join(stdin).split("\n")
    return f"{command}\n{lines[1]}"
