"""The order in which the hosts of a run are migrated: canaries first, then batches, each in the inventory's order."""

from __future__ import annotations

from collections.abc import Iterable

from tasks.model.fleet.plan import HostPlan


def waves(hosts: Iterable[HostPlan]) -> list[list[str]]:
    """The hosts' names by wave. Canaries are the first wave; a wave is full when it has its first host's batch size.

    + hosts: those that are to be migrated, in the inventory's order
    """
    hosts = list(hosts)
    canaries = [host.name for host in hosts if host.settings.nanoclaw_v1_canary]
    found = [canaries] if canaries else []
    others = [host for host in hosts if not host.settings.nanoclaw_v1_canary]
    while others:
        size = others[0].settings.nanoclaw_v1_batch
        found.append([host.name for host in others[:size]])
        others = others[size:]
    return found
