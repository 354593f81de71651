"""What the operations of a run are going to ask of a machine, so that it is asked in one round trip before them."""

from collections.abc import Callable, Iterable

from pyinfra.api.host import Host

from files.pods.common.protocol import Reply, Request
from files.pods.guard.protocol import GuardState
from files.pods.machine.protocol import PackagesReply, PackagesRequest, RuntimeState
from files.pods.nfs.export_state import ExportState
from files.pods.nfs.mount_state import MountState
from files.pods.nfs.protocol import FirewallState
from files.pods.service.protocol import EnvState, Installs, ServiceState
from files.pods.source.image_state import ImageState
from files.pods.source.protocol import CheckoutState
from files.pods.transition.protocol import Progress
from files.pods.trees.protocol import TreesReply
from tasks.concurrent_facts import at_once
from tasks.facts import Question
from tasks.model.fleet.plan import FleetPlan, HostPlan, ServerPlan
from tasks.model.host.adoption import installs_request
from tasks.model.host.agent_image import image_request
from tasks.model.host.checkout import checkout_request
from tasks.model.host.env_files import env_request
from tasks.model.host.runtime import runtime_request
from tasks.model.host.service_state import service_request
from tasks.model.host.version_change import progress_request
from tasks.model.nfs.container_firewall import firewall_request
from tasks.model.nfs.mount_plan import mounts_request
from tasks.model.nfs.nfs_versions import exports_request
from tasks.model.ownership.trees import chown_by, host_trees, server_trees, trees_request
from tasks.model.platform.platform import DEBIAN_13
from tasks.operations.env_files import KEY
from tasks.operations.guard import guard_request
from tasks.ownership import WALK
from tasks.replies import ask_together
from tasks.session_drivers import peeks

OF_HOSTS: tuple[tuple[type[Reply], Callable[[HostPlan], Request]], ...] = (
    (RuntimeState, runtime_request),
    (MountState, mounts_request),
    (FirewallState, firewall_request),
    (CheckoutState, checkout_request),
    (ImageState, image_request),
    (ServiceState, service_request),
    (Progress, progress_request),
    (Installs, installs_request),
    (GuardState, guard_request),
)
"""What every host is asked: the class of the reply, and the function that makes the request from its plan."""

TIMEOUT = 300
"""Seconds for a round trip that walks no tree."""


def of_server(plan: ServerPlan) -> list[Question]:
    """What the operations of tasks/exports.py and tasks/ownership.py ask of an NFS server."""
    questions = [
        Question(PackagesReply, PackagesRequest([DEBIAN_13.nfs_server])),
        Question(ExportState, exports_request(plan)),
    ]
    if trees := server_trees(plan):
        questions.append(Question(TreesReply, trees_request(trees)))
    return questions


def of_host(plan: HostPlan) -> list[Question]:
    """What the operations of a host ask of it while it is as it should be."""
    questions = [Question(reply, request(plan)) for reply, request in OF_HOSTS]
    questions.append(Question(EnvState, env_request(plan), f"{KEY}\n"))
    if peeks(plan):
        questions.append(Question(CheckoutState, checkout_request(plan, peek=True)))
    if chown_by(plan) != "server":
        questions.append(Question(TreesReply, trees_request(host_trees(plan))))
    return questions


def ask_machines(fleet: FleetPlan, members: Iterable[Host]) -> None:
    """Ask each machine all of it at once; the replies are kept (tasks/replies.py)."""

    def ask(member: Host) -> None:
        server, host = fleet.servers.get(member.name), fleet.hosts.get(member.name)
        questions = [*(of_server(server) if server else ()), *(of_host(host) if host else ())]
        walks = any(question.reply is TreesReply for question in questions)
        ask_together(member, questions, WALK if walks else TIMEOUT)

    at_once([member for member in members if not _goes_back(fleet, member)], ask)


def _goes_back(fleet: FleetPlan, member: Host) -> bool:
    """Whether a host only returns to v1."""
    plan = fleet.hosts.get(member.name)
    return plan is not None and plan.settings.nanoclaw_v1_rollback
