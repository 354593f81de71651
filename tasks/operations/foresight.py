"""What a check phase foresees: each operation looks at its machine before earlier ones of the run have changed it."""

from __future__ import annotations

from typing import Literal
from weakref import WeakKeyDictionary

from pyinfra import state
from pyinfra.api.host import Host
from pyinfra.context import ctx_host

Coming = Literal["source", "build", "image", "environment", "record"]

_coming: WeakKeyDictionary[Host, set[Coming]] = WeakKeyDictionary()


def foresee(coming: Coming) -> None:
    """Notes that this machine is going to have a new one. To be called before an operation's first command."""
    if not state.is_executing:
        _coming.setdefault(_machine(), set()).add(coming)


def foreseen(*coming: Coming) -> bool:
    """Whether an earlier operation noted one of these. Never while a run executes: then the machine itself says it."""
    return not state.is_executing and not _coming.get(_machine(), set()).isdisjoint(coming)


def _machine() -> Host:
    machine: Host = ctx_host.get()  # type: ignore[no-untyped-call]
    return machine
