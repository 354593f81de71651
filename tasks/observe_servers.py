"""Observe unmanaged servers from their hosts, before anything changes."""

from collections.abc import Iterable

from pyinfra import logger, state
from pyinfra.api.host import Host

from files.pods.nfs.protocol import ObserveRequest, ServerObservation
from tasks.concurrent_facts import at_once
from tasks.model.access.identity import Squash
from tasks.model.access.observed_refusals import Wish, refusals
from tasks.model.access.observed_squash import description, observed_squash
from tasks.model.fleet.plan import FleetPlan, HostPlan, Problem
from tasks.model.nfs.mount_unit import transport
from tasks.model.sanitize import printable
from tasks.replies import ask_machine

_TIMEOUT = 60
_SERVER_TIMEOUT = 20


def observe(fleet: FleetPlan, members: Iterable[Host], *, only_reads: bool) -> tuple[dict[str, Squash], list[Problem]]:
    """Observe how unmanaged servers map ids. Return the squash by observing host, and what is refused.

    A dry run only reads, so it does not observe: to observe creates directories on the server.
    """
    plans = {plan.name: plan for plan in fleet.hosts.values() if plan.source and plan.server is None}
    observers = [member for member in members if member.name in plans and member in state.active_hosts]
    if only_reads:
        for member in observers:
            logger.info("    %s: a dry run does not observe how the server maps ids", member.name)
        return {}, []

    def observe(member: Host) -> ServerObservation | None:
        return ask_machine(member, ServerObservation, _request(plans[member.name]), timeout=_TIMEOUT)

    squashes: dict[str, Squash] = {}
    problems: list[Problem] = []
    for member, observed in at_once(observers, observe):
        plan = plans[member.name]
        problems += [Problem(plan.name, key, text, "server-observed") for key, text in refusals(_wish(plan), observed)]
        if observed is None:
            continue
        logger.info("    %s: %s: %s", member.name, plan.source, printable(description(observed)))
        if squash := observed_squash(observed, plan.host_ids, plan.agent):
            squashes[member.name] = squash
    return squashes, problems


def _wish(plan: HostPlan) -> Wish:
    stated = plan.squash if plan.settings.pods_export_options is not None else None
    export = plan.source.path if plan.source else ""
    return Wish(export, plan.settings.pods_access, plan.host_ids, plan.agent, stated)


def places(plan: HostPlan) -> list[str]:
    """Directories of the export, those that NanoClaw works in first: an export's own may be root's alone."""
    directories = (plan.sessions, plan.groups) if plan.root_on_pods else [source for source, _target in plan.binds]
    return [*(directory[len(plan.settings.pods_path) + 1 :] for directory in directories), "."]


def _request(plan: HostPlan) -> ObserveRequest:
    if plan.source is None:
        raise ValueError(f"{plan.name} mounts nothing")
    return ObserveRequest(
        address=plan.source.address,
        path=plan.source.path,
        version=plan.settings.pods_nfs_version,
        transport=transport(plan.source.address),
        places=places(plan),
        host=plan.host_ids.pair,
        agent=plan.agent.pair,
        seconds=_SERVER_TIMEOUT,
    )
