"""NanoClaw's source on a host: its checkout and its build."""

from pyinfra.api.deploy import deploy

from tasks.model.fleet.plan import HostPlan
from tasks.operations.apply_skills import apply_skills
from tasks.operations.checkout import build, checkout

WORK_SECONDS = 2100
"""More than the programs give themselves, and wait for those of a run that was killed."""


@deploy("NanoClaw source")
def install_source(plan: HostPlan, *, move: bool = True) -> None:
    """Bring a machine of nanoclaw_hosts to where its service can be started: all but the agent image and the unit.

    + move: whether another commit is checked out; one that a change of version brings comes after it
    """
    checkout(name="Check out NanoClaw", plan=plan, move=move, _timeout=WORK_SECONDS)
    build(name="Build NanoClaw", plan=plan, move=move, _timeout=WORK_SECONDS)
    if move:
        apply_skills(name="Apply the gateway and the channels", plan=plan, _timeout=WORK_SECONDS)
