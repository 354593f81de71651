"""The guard of a fake host."""

from __future__ import annotations

import hashlib

from files.pods.guard.protocol import GuardState
from tasks.bundle import bundle
from tasks.model.fleet.plan import HostPlan
from tasks.model.ownership.guard import command_line, program_file, unit_text
from tests.fake.fake import Fake
from tests.fake.stated import UNITS, guard_unit


def guard_state(plan: HostPlan) -> Fake:
    unit = guard_unit(plan)
    files = {"program": program_file(bundle("guard.main")), "unit_file": f"{UNITS}/{unit}"}
    none = GuardState(None, [], None, False, False, False, [], [])
    return Fake(
        requests=[{"prefix": "pods-guard-", "unit": unit, **files}],
        bare=none,
        finished=_running(plan) if plan.strategy.needs_guard else none,
    )


def _running(plan: HostPlan) -> GuardState:
    program = bundle("guard.main")
    digest = hashlib.sha256(program).hexdigest()
    return GuardState(digest, [], unit_text(plan, program), True, True, False, command_line(plan, program), [])


OF_HOSTS = {"guard.state": guard_state}
