"""The programs that the operations of hosts and of servers ask, room by room, each with its requests and replies."""

from __future__ import annotations

from collections.abc import Callable

from tasks.model.fleet.plan import HostPlan, ServerPlan
from tests.fake.fake import Fake
from tests.fake.programs import guard, machine, nfs, probe, service, source, transition, trees

OF_HOSTS: dict[str, Callable[[HostPlan], Fake]] = {
    **machine.OF_HOSTS,
    **nfs.OF_HOSTS,
    **source.OF_HOSTS,
    **trees.OF_HOSTS,
    **guard.OF_HOSTS,
    **transition.OF_HOSTS,
    **service.OF_HOSTS,
    **probe.OF_HOSTS,
}
OF_SERVERS: dict[str, Callable[[ServerPlan], Fake]] = {**nfs.OF_SERVERS, **trees.OF_SERVERS}
