"""The NanoClaw host service: the agents' image, secrets, and the service itself."""

from pyinfra.api.deploy import deploy

from tasks.model.fleet.plan import HostPlan
from tasks.operations.agent_image import agent_image
from tasks.operations.env_files import env_files
from tasks.operations.host_service import host_service, stop_service


@deploy("NanoClaw service")
def stop_first(plan: HostPlan) -> None:
    """Stop the host service before its server maps its ids in another way; `run_service` starts it again."""
    stop_service(name="Stop NanoClaw before its server changes", plan=plan, _timeout=150)


@deploy("NanoClaw service")
def run_service(plan: HostPlan, *, start: bool = True) -> None:
    """Bring the host service up as planned, once its checkout is built and its mounts are there.

    + start: whether the service is to run; one that a migration starts is installed alone
    """
    agent_image(name="Get the agent image", plan=plan, _timeout=3900)
    env_files(name="Set .env and close it", plan=plan, _timeout=120)
    host_service(name="Run NanoClaw as a service", plan=plan, start=start, _timeout=600)
