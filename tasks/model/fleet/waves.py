"""The order in which hosts change their version: canaries first, then batches, each in the inventory's order."""

from collections.abc import Iterable

from tasks.model.fleet.plan import HostPlan


def waves(hosts: Iterable[HostPlan]) -> list[list[str]]:
    """Return the hosts' names by wave: canaries first, then batches of the size that the first host of each has.

    + hosts: those that change, in the inventory's order
    """
    hosts = list(hosts)
    canaries = [host.name for host in hosts if host.settings.nanoclaw_canary]
    by_wave = [canaries] if canaries else []
    others = [host for host in hosts if not host.settings.nanoclaw_canary]
    while others:
        size = others[0].settings.nanoclaw_batch
        by_wave.append([host.name for host in others[:size]])
        others = others[size:]
    return by_wave
