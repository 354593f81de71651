"""Replies of a machine of the @fake connector to facts; the inventory of a run puts them into host data."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

from pyinfra import host

from tasks.bundle import BOOT, boot_argv, entry_of, request_line

Requests = Mapping[str, list[dict[str, Any]]]
"""By the name of a program: the requests that get a reply, each with all of its arguments."""

_BOOT = re.escape(shlex.quote(BOOT) + " ")
_EVERYTHING = re.compile("")
_LISTS = re.compile("apt-get update ")


class FakeReplies(dict[Any, Any]):
    """pyinfra's `fake_responses`, computed again for each command.

    A fact gets the reply of `before` until the running operation has sent a command, and then that of `after`. So each
    operation finds its own part undone, and its check finds it done. `apt-get update` alone changes nothing yet. A fact
    with a request that is not in `requests` fails.
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
    """The reply to a command that is no fact: success. pyinfra reads it only where nothing else matched."""

    def __init__(self, replies: FakeReplies) -> None:
        super().__init__()
        self._replies = replies

    def get(self, key: str, default: Any = None) -> Any:
        self._replies.acted = True
        return default


def _as_responses(facts: Mapping[str, Any], requests: Requests) -> dict[re.Pattern[str], Any]:
    responses: dict[re.Pattern[str], Any] = {}
    for name, document in facts.items():
        stated = requests.get(name, [])
        for request in stated:
            responses[fact_pattern(name, request)] = json.dumps(narrowed(document, request))
        text = f"the fake {name} expects {json.dumps(stated, sort_keys=True)}, and not this request"
        responses[fact_pattern(name)] = {"success": False, "stderr": text}
    return responses


def narrowed(document: Any, request: Mapping[str, Any]) -> Any:
    """Reduce each mapping of a document to the keys that the request lists under the same name."""
    if not isinstance(document, dict):
        return document
    parts = {
        key: set(names) for key, names in request.items() if isinstance(names, list) and _is_mapping(document, key)
    }
    return {
        key: {name: it for name, it in part.items() if name in parts[key]} if key in parts else part
        for key, part in document.items()
    }


def _is_mapping(document: dict[str, Any], key: str) -> bool:
    return isinstance(document.get(key), dict)


def fact_pattern(program: str, request: Mapping[str, Any] | None = None) -> re.Pattern[str]:
    """Match a command that only reads, by one of the role's programs (see `with_request`).

    + request: all of its arguments. They stand in the last line, as JSON.
    """
    head = rf"^if command -v python3 [^\n]*{_BOOT}({program}) "
    if request is None:
        return re.compile(head)
    return re.compile(rf"{head}[^\n]*\n[^\n]*{re.escape(json.dumps({'request': request}, sort_keys=True)[1:-1])}}}\Z")


def single_command(entry: str, request: Any) -> str:
    """Return the command, with its request, of a fact that is sent by itself."""
    run = f"{shlex.join(boot_argv(entry)[:-1])} {entry}"
    return with_request(
        f"if command -v python3 >/dev/null 2>&1; then {run} ; else", ["\n", request_line(request, mark=True)]
    )


def with_request(command: str, stdin: Any) -> str:
    """Return a command, and on another line the request that a program of the role gets by standard input."""
    if entry_of(command) is None:
        return command
    lines = "".join(stdin).split("\n")
    return f"{command}\n{lines[1]}"
