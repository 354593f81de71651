"""The NFS client: the mount of the pods, its immutable mount point and binds, and what containers may reach."""

from pyinfra.api.deploy import deploy

from tasks.model.fleet.plan import HostPlan
from tasks.operations.container_firewall import docker_and_pods
from tasks.operations.mounts import pods_binds, pods_directory, pods_mount

MOUNT_SECONDS = 900
"""More than files/pods/nfs/apply_mounts.py, the longest of the commands, allows itself. It must end by itself and
restore what was there: pyinfra only stops waiting."""


@deploy("Pods mount")
def mount_pods(plan: HostPlan) -> None:
    """Bring the pods to a host: mounted from their server, or a local directory; bound into a local root."""
    if plan.source:
        pods_mount(name="Mount the pods", plan=plan, _timeout=MOUNT_SECONDS)
    else:
        pods_directory(name="Make the pods directory", plan=plan, _timeout=60)
    if plan.binds:
        pods_binds(name="Show the pods in the project root", plan=plan, _timeout=MOUNT_SECONDS)
    if plan.source or plan.binds:
        docker_and_pods(name="Order Docker after the pods and fence containers", plan=plan, _timeout=180)
