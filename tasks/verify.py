"""The proof: acts as the host and as the agent, and reports one line a host."""

from pyinfra.api.deploy import deploy

import files.pods.probe.timeouts as timeouts
from tasks.model.fleet.plan import HostPlan
from tasks.operations.verify import agent_writes


@deploy("Verification")
def verify_host(plan: HostPlan) -> None:
    """Prove that the agents of a host can write their sessions, or fail the run with the cause."""
    agent_writes(name="Act as the host and as the agent", plan=plan, _timeout=timeouts.WHOLE_PROBE)
