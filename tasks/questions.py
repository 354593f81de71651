"""What the operations of a run are going to ask of a machine, so that it is asked in one round trip before them."""

from collections.abc import Iterable

from pyinfra import state
from pyinfra.api.config import Config
from pyinfra.api.host import Host

from files.pods.machine.protocol import PackagesRequest
from tasks.concurrent_facts import at_once
from tasks.facts import (
    AgentImage,
    Checkout,
    ContainerFirewall,
    EnvFiles,
    Exports,
    GuardFact,
    HostService,
    Mounts,
    Packages,
    Question,
    RuntimeFact,
    TreeOwners,
    V2Installs,
    guard_request,
)
from tasks.model.fleet.plan import FleetPlan, HostPlan, ServerPlan
from tasks.model.host.adoption import installs_request
from tasks.model.host.agent_image import image_request
from tasks.model.host.checkout import checkout_request
from tasks.model.host.env_files import env_request
from tasks.model.host.runtime import runtime_request
from tasks.model.host.service_state import service_request
from tasks.model.nfs.container_firewall import firewall_request
from tasks.model.nfs.mount_plan import mounts_request
from tasks.model.nfs.nfs_versions import exports_request
from tasks.model.ownership.trees import chown_by, host_trees, server_trees, trees_request
from tasks.operations.env_files import KEY
from tasks.replies import ask_together

TIMEOUT = 300
"""Seconds for a round trip that walks no tree."""


def of_server(plan: ServerPlan) -> list[Question]:
    """What the operations of tasks/exports.py and tasks/ownership.py ask of an NFS server."""
    questions = [
        Question(Packages, PackagesRequest(["nfs-kernel-server"])),
        Question(Exports, exports_request(plan)),
    ]
    if trees := server_trees(plan):
        questions.append(Question(TreeOwners, trees_request(trees)))
    return questions


def of_host(plan: HostPlan) -> list[Question]:
    """What the operations of a host ask of it while it is as it should be."""
    questions = [
        Question(V2Installs, installs_request(plan)),
        Question(RuntimeFact, runtime_request(plan)),
        Question(Mounts, mounts_request(plan)),
        Question(ContainerFirewall, firewall_request(plan)),
        Question(Checkout, checkout_request(plan)),
        Question(GuardFact, guard_request(plan)),
        Question(AgentImage, image_request(plan)),
        Question(EnvFiles, env_request(plan), f"{KEY}\n"),
        Question(HostService, service_request(plan)),
    ]
    if state.check_for_changes:  # a check phase looks into a commit that is not checked out
        questions.append(Question(Checkout, checkout_request(plan, peek=True)))
    if chown_by(plan) != "server":
        questions.append(Question(TreeOwners, trees_request(host_trees(plan))))
    return questions


def ask_machines(fleet: FleetPlan, members: Iterable[Host], run: Config, walk_timeout: int) -> None:
    """Ask each machine all of it at once; the replies are kept (tasks/replies.py).

    + walk_timeout: seconds where a tree is walked
    """

    def ask(member: Host) -> None:
        server, host = fleet.servers.get(member.name), fleet.hosts.get(member.name)
        questions = [*(of_server(server) if server else ()), *(of_host(host) if host else ())]
        walks = any(question.fact is TreeOwners for question in questions)
        ask_together(member, questions, walk_timeout if walks else TIMEOUT)

    at_once([member for member in members if not _goes_back(fleet, member)], run, ask)


def _goes_back(fleet: FleetPlan, member: Host) -> bool:
    """Whether a host only returns to v1."""
    plan = fleet.hosts.get(member.name)
    return plan is not None and plan.settings.nanoclaw_v1_rollback
