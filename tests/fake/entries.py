"""Requests and replies of programs from the YAML of an operation: its parts with `entry`.

`of` is the kind of machine that is asked: host (the default) or server. `request` is stated in full. `bare`, `underway`
and `finished` are replies (see tests/fake/machines.py); without `underway` that machine replies as a bare one.
`${settings.nanoclaw_user}` stands for that attribute of the machine's plan.
"""

from __future__ import annotations

import re
from typing import Any

from tasks.model.fleet.plan import HostPlan, ServerPlan
from tests.fixtures.cases import ENTRIES

_ATTRIBUTE = re.compile(r"\$\{([a-z_.]+)\}")


def entry_requests(plan: HostPlan | ServerPlan) -> dict[str, list[dict[str, Any]]]:
    """The requests to a machine, by program."""
    return {part["entry"]: [_filled(part["request"], plan)] for part in _of(plan)}


def entry_replies(plan: HostPlan | ServerPlan, state: str) -> dict[str, Any]:
    """The replies of a machine in a state, by program."""
    return {part["entry"]: _filled(part.get(state, part["bare"]), plan) for part in _of(plan)}


def _of(plan: HostPlan | ServerPlan) -> list[dict[str, Any]]:
    kind = "server" if isinstance(plan, ServerPlan) else "host"
    return [part for part in ENTRIES if part.get("of", "host") == kind]


def _filled(value: Any, plan: HostPlan | ServerPlan) -> Any:
    """A value with attributes of the plan in it, each of its own type where it stands alone."""
    if isinstance(value, dict):
        return {key: _filled(it, plan) for key, it in value.items()}
    if isinstance(value, list):
        return [_filled(it, plan) for it in value]
    if not isinstance(value, str):
        return value
    if alone := _ATTRIBUTE.fullmatch(value):
        return _attribute(plan, alone[1])
    return _ATTRIBUTE.sub(lambda name: str(_attribute(plan, name[1])), value)


def _attribute(plan: Any, path: str) -> Any:
    for name in path.split("."):
        plan = getattr(plan, name)
    return plan
