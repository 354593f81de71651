"""A NanoClaw v2 that runs on a machine before the role has been there: adopted, or refused with the way to adopt it."""

from collections.abc import Iterable

from pyinfra.api.host import Host

from files.pods.service.protocol import Installs
from files.pods.source.protocol import CheckoutState, VersionState
from tasks.concurrent_facts import at_once
from tasks.facts import Question
from tasks.model.fleet.plan import FleetPlan, HostPlan, Problem
from tasks.model.host.adoption import adoption_problems, installs_request
from tasks.model.host.checkout import checkout_request
from tasks.model.versions.version_needs import direction_problems
from tasks.replies import ask_machine, replies

_TIMEOUT = 240
_FETCH_TIMEOUT = 300
_KEY = "nanoclaw_root"


def look_at_v2(fleet: FleetPlan, members: Iterable[Host]) -> list[Problem]:
    """Why hosts cannot be taken over as they are. One that goes back to v1 is not asked."""
    hosts = [one for one in members if one.name in fleet.hosts]
    hosts = [one for one in hosts if not fleet.hosts[one.name].settings.nanoclaw_v1_rollback]
    problems: list[Problem] = []
    for member, reply in at_once(hosts, lambda one: _look(one, fleet.hosts[one.name])):
        if reply is None:
            text = "this machine did not report which NanoClaw runs on it: correct its error above, then run again"
            problems.append(Problem(member.name, _KEY, text, "no-reply-about-v2"))
        else:
            texts = adoption_problems(reply, fleet.hosts[member.name])
            problems += [Problem(member.name, _KEY, text, "v2-in-the-way") for text in texts]
    return problems


def check_checkouts(fleet: FleetPlan, members: Iterable[Host]) -> list[Problem]:
    """Why checkouts that the role has not made stay at their versions. The operation refuses the same for any other."""
    hosts = [one for one in members if one.name in fleet.hosts]
    hosts = [one for one in hosts if not fleet.hosts[one.name].settings.nanoclaw_v1_rollback]
    return [
        Problem(member.name, "nanoclaw_ref", text, "version-in-the-way")
        for member, version in at_once(hosts, lambda one: _version(one, fleet.hosts[one.name]))
        if version
        for text in direction_problems(version, fleet.hosts[member.name])
    ]


def _look(member: Host, plan: HostPlan) -> Installs | None:
    reply: Installs | None = ask_machine(member, Installs, installs_request(plan), timeout=_TIMEOUT)
    return reply


def _version(member: Host, plan: HostPlan) -> VersionState | None:
    """What a checkout that the role has not made would move to; fetched aside where it is not there yet."""
    known: CheckoutState | None = replies().get(member.name, Question(CheckoutState, checkout_request(plan)))
    if known is None or known.version.previous is None:
        return None
    if known.version.needs is None:
        known = ask_machine(member, CheckoutState, checkout_request(plan, peek=True), timeout=_FETCH_TIMEOUT)
    return known.version if known else None
