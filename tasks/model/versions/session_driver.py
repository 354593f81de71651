"""Whether a host's version of NanoClaw starts its agents by a session driver: then one of uid 1000 has the host's gid.

The files of the version decide. Until they are read a tag says what to expect, and what a server exports for.
"""

from collections.abc import Iterable, Mapping, Sequence

from files.pods.source.protocol import Needs
from tasks.model.access.identity import IdentityError, Ids, agent_of, squash_in_force
from tasks.model.access.strategy import anonymous
from tasks.model.fleet.plan import HOSTS, FleetPlan, HostPlan, Machine
from tasks.model.fleet.settings import HostSettings
from tasks.model.versions.version_order import is_later

_BEFORE = "2.2.99"
"""2.3.0 and its candidates come after it."""
_DEFAULT_REF = HostSettings.model_fields["nanoclaw_ref"].default


def expected_drivers(machines: Iterable[Machine]) -> dict[str, bool]:
    """Return what to expect of each host by the tag that its nanoclaw_ref names; nothing for another ref."""
    refs = {it.name: str(it.data.get("nanoclaw_ref", _DEFAULT_REF)) for it in machines if HOSTS in it.groups}
    later = {name: is_later(ref, _BEFORE) for name, ref in refs.items()}
    return {name: answer for name, answer in later.items() if answer is not None}


def exported_drivers(fleet: FleetPlan, server: str, table: Iterable[Sequence[str]]) -> dict[str, bool]:
    """Return what a server's table in force squashes to, of hosts of which that depends on the driver.

    + table: entries of path, client, options
    """
    entries = {(path, client): options for path, client, *options in table}
    drivers = {}
    for plan in fleet.hosts.values():
        if plan.server != server or not plan.source or not driver_matters(plan):
            continue
        try:
            squash = squash_in_force(entries.get((plan.source.path, plan.address or ""), []))
        except IdentityError:
            continue
        for driver in (False, True):
            if squash.maps != "none" and squash.anonymous == anonymous(agent_with(plan, driver=driver)):
                drivers[plan.name] = driver
    return drivers


def agent_with(plan: HostPlan, *, driver: bool) -> Ids:
    """Return the agent's ids with a session driver, or without."""
    return agent_of(plan.host_ids, plan.image_user, driver=driver)


def driver_matters(plan: HostPlan) -> bool:
    """Whether the agent's ids depend on it."""
    return agent_with(plan, driver=True) != agent_with(plan, driver=False)


def other_drivers(fleet: FleetPlan, known: Mapping[str, bool]) -> bool:
    """Whether what is known of hosts differs from their plans."""
    return any(fleet.hosts[name].driver != driver for name, driver in known.items() if name in fleet.hosts)


def driver_problem(needs: Needs, plan: HostPlan) -> str | None:
    """Why the plan does not fit to files that were not there when it was made, and the way out."""
    if needs.driver == plan.driver or not driver_matters(plan):
        return None
    return (
        f"agents of {plan.settings.nanoclaw_ref} ({needs.version}) run as {agent_with(plan, driver=needs.driver)}, and "
        f"this run has planned for {plan.agent}, for the files of that version were not here yet: run again"
    )
