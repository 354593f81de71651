"""The guard's program and unit; systemd.service does not compare what the running process was started with."""

from pyinfra import host

from files.pods.guard.protocol import GuardState, GuardStateRequest
from tasks.bundle import bundle
from tasks.command import argv, write_file
from tasks.model.fleet.plan import HostPlan
from tasks.model.ownership.guard import UNIT_PREFIX, guard_unit, program_file, steps, unit_file, unit_text
from tasks.model.systemd_names import UNITS
from tasks.operations.base import Commands, lasting_operation, read_state
from tasks.report import show_diff


def guard_request(plan: HostPlan) -> GuardStateRequest:
    """What a host is asked about its guard."""
    return GuardStateRequest(guard_unit(plan), unit_file(plan), program_file(bundle("guard.main")), UNIT_PREFIX)


@lasting_operation
def guard(plan: HostPlan) -> Commands:
    """Run the guard where the host process is root and must chown its sessions; remove it elsewhere.

    Owns: /usr/local/lib/nanoclaw-pods/guard-*.pyz and units pods-guard-*.service. Leaves alone: NanoClaw's own units.
    Changes: when the program, the unit, what systemd has read of it, or the command line of the running process
    differs, or when a guard of another project root is there. Sources: systemd.unit(5), systemd.exec(5).
    """
    state = read_state(GuardState, guard_request(plan))
    yield from _remove(state, plan)
    if plan.strategy.needs_guard:
        yield from _install(state, plan)


def _remove(state: GuardState, plan: HostPlan) -> Commands:
    own = [guard_unit(plan)] if state.unit is not None and not plan.strategy.needs_guard else []
    units = [*state.others, *own]
    for unit in units:
        yield argv("systemctl", "disable", "--now", unit)
        yield argv("rm", "-f", f"{UNITS}/{unit}")
    if plan.strategy.needs_guard:
        return
    if programs := [*state.older, *([program_file(bundle("guard.main"))] if state.program is not None else [])]:
        yield argv("rm", "-f", *programs)
    if units:
        yield argv("systemctl", "daemon-reload")
    elif not programs:
        host.noop(f"no guard is needed with {plan.strategy.name}")


def _install(state: GuardState, plan: HostPlan) -> Commands:
    program = bundle("guard.main")
    todo = steps(state, plan, program)
    if not todo and not state.others and not state.older:
        host.noop(f"{guard_unit(plan)} runs")
        return
    if "program" in todo:
        yield write_file(program_file(program), program)
    if "unit" in todo:
        show_diff(unit_file(plan), state.unit, unit_text(plan, program))
        yield write_file(unit_file(plan), unit_text(plan, program))
    if "reload" in todo or state.others:
        yield argv("systemctl", "daemon-reload")
    if "enable" in todo:
        yield argv("systemctl", "reenable", guard_unit(plan))
    if "restart" in todo:
        yield argv("systemctl", "restart", guard_unit(plan))
    if state.older:
        yield argv("rm", "-f", *state.older)
