"""What the files of the hosts' versions say of their session drivers."""

from collections.abc import Iterable

from pyinfra import state
from pyinfra.api.host import Host

from files.pods.source.protocol import CheckoutState, Needs
from tasks.facts import Question
from tasks.model.fleet.plan import FleetPlan, HostPlan
from tasks.model.host.checkout import checkout_request
from tasks.model.versions.session_driver import driver_matters
from tasks.replies import replies


def peeks(plan: HostPlan) -> bool:
    """Whether a host is asked about a commit that is not there yet: in a check phase, or where its ids depend on it."""
    return state.check_for_changes or driver_matters(plan)


def drivers_of(fleet: FleetPlan, members: Iterable[Host]) -> dict[str, bool]:
    """Return what the version to come has, of each host where its files are known by now."""
    known = {name: _needs(fleet.hosts[name]) for member in members if (name := member.name) in fleet.hosts}
    return {name: needs.driver for name, needs in known.items() if needs}


def _needs(plan: HostPlan) -> Needs | None:
    for peek in (True, False):
        reply: CheckoutState | None = replies().get(
            plan.name, Question(CheckoutState, checkout_request(plan, peek=peek))
        )
        if reply and reply.version.needs:
            return reply.version.needs
    return None
