"""A NanoClaw v2 that runs on a machine before the role has been there: adopted, or refused with the way to adopt it."""

from collections.abc import Iterable

from pyinfra.api.host import Host

from files.pods.service.protocol import Installs
from tasks.concurrent_facts import at_once
from tasks.model.fleet.plan import FleetPlan, HostPlan, Problem
from tasks.model.host.adoption import adoption_problems, installs_request
from tasks.replies import ask_machine

_TIMEOUT = 240
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


def _look(member: Host, plan: HostPlan) -> Installs | None:
    reply: Installs | None = ask_machine(member, Installs, installs_request(plan), timeout=_TIMEOUT)
    return reply
