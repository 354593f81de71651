"""What a host needs before anything of NanoClaw: Docker, git, Node, the NFS client, the host user."""

from pyinfra.api.deploy import deploy

from tasks.model.fleet.plan import HostPlan
from tasks.operations.runtime import runtime


@deploy("Runtime")
def install_runtime(plan: HostPlan) -> None:
    """Install what a machine of nanoclaw_hosts lacks, and make the user of the host process."""
    runtime(name="Install packages and make the host user", plan=plan, _timeout=1800)
