"""The order in which hosts change their version."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tasks.model.fleet.plan import HostPlan
from tasks.model.fleet.waves import waves
from tests.builders import host_plan as host

_SOME = [
    (canary, batch, host(nanoclaw_canary=canary, nanoclaw_batch=batch))
    for canary in (True, False)
    for batch in (1, 2, 10)
]


def named(kinds: list[tuple[bool, int, HostPlan]]) -> list[HostPlan]:
    return [replace(plan, name=f"h{number}") for number, (_canary, _batch, plan) in enumerate(kinds)]


@given(st.lists(st.sampled_from(_SOME), max_size=20))
def test_each_host_is_in_one_wave_and_canaries_are_first(kinds: list[tuple[bool, int, HostPlan]]) -> None:
    hosts = named(kinds)
    ordered = waves(hosts)
    flat = [name for wave in ordered for name in wave]
    canaries = [plan.name for plan, (canary, _batch, _plan) in zip(hosts, kinds, strict=True) if canary]
    others = [plan.name for plan in hosts if plan.name not in canaries]
    assert flat == canaries + others and all(ordered)
    if canaries:
        assert ordered[0] == canaries
    batch = {plan.name: size for plan, (_canary, size, _plan) in zip(hosts, kinds, strict=True)}
    for wave in ordered[1 if canaries else 0 :]:
        assert len(wave) <= batch[wave[0]]
