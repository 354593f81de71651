"""Looking at many machines at once, from deploy code."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from gevent.pool import Pool
from pyinfra import config, state
from pyinfra.api.host import Host
from pyinfra.context import ctx_config, ctx_host

_AT_ONCE = 50

Answer = TypeVar("Answer")


def at_once(members: Iterable[Host], ask: Callable[[Host], Answer]) -> list[tuple[Host, Answer | None]]:
    """What each machine answers, looked at with the settings of this run; None for one that is not connected."""
    run = config.copy()

    def of(member: Host) -> tuple[Host, Answer | None]:
        # Greenlets of our own pool: pyinfra's is full of deploy code that waits for this answer.
        if member not in state.active_hosts:
            return member, None
        with ctx_config.use(run.copy()), ctx_host.use(member):
            return member, ask(member)

    return list(Pool(_AT_ONCE).map(of, list(members)))
