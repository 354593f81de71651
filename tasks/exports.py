"""The NFS server: package, export directories, protocol versions, export table."""

from collections.abc import Sequence

from pyinfra.api.deploy import deploy

from tasks.model.fleet.plan import ServerPlan
from tasks.model.platform.platform import DEBIAN_13
from tasks.operations.exports import export_directories, export_table, nfs_server
from tasks.operations.packages import debian_packages


@deploy("NFS server")
def serve_exports(plan: ServerPlan, guard_hosts: Sequence[str], stop_hosts: Sequence[str] = ()) -> None:
    """Bring a machine of nfs_servers to its plan, but for the owners inside the exports (`tasks.ownership`).

    + guard_hosts: hosts that need a running guard before the exports change
    + stop_hosts: hosts on which NanoClaw must have stopped before
    """
    debian_packages(name="Install the NFS server", packages=[DEBIAN_13.nfs_server], _timeout=900)
    export_directories(name="Make the export directories", plan=plan, _timeout=120)
    nfs_server(name="Run the NFS server", plan=plan, _timeout=180)
    export_table(name="Export the pods", plan=plan, guard_hosts=guard_hosts, stop_hosts=stop_hosts, _timeout=180)
