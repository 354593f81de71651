"""Which hosts change their version, what that does, and why one cannot."""

from files.pods.service.protocol import ServiceState
from files.pods.source.protocol import CheckoutState
from files.pods.transition.documents import BAD_VERSIONS, MOST_FAILURES
from files.pods.transition.protocol import Progress
from tasks.model.fleet.plan import HostPlan
from tasks.model.host.version_change import VersionChange, directory, service
from tasks.model.versions.version_needs import restores, version_notes


def change_due(checkout: CheckoutState, service_state: ServiceState, progress: Progress) -> bool:
    """Return whether a host changes its version: a service that the role has started, and another desired commit.

    An interrupted switch counts as well, until it has ended.
    """
    if is_undecided(progress):
        return True
    serves = service_state.unit.load == "loaded" and service_state.outdated is not None
    made_here = checkout.built is not None and checkout.version.previous is None
    moves = checkout.commit is not None and checkout.desired is not None and checkout.commit != checkout.desired
    return serves and made_here and moves


def is_undecided(progress: Progress) -> bool:
    """Return whether a switch was interrupted, and neither committed nor rolled back."""
    return progress.journal is not None and progress.journal.state == "switching" and not progress.decided


def planned_change(checkout: CheckoutState, plan: HostPlan, stash: str) -> VersionChange:
    """Return the change of version of a host, once its desired commit is known.

    + stash: the message for a stash of local changes
    """
    if checkout.commit is None or checkout.desired is None:
        raise ValueError(f"{plan.name}: a change of version needs both commits")
    needs = checkout.version.needs
    copy = restores(checkout.version, plan)
    return VersionChange(
        before=checkout.commit,
        commit=checkout.desired,
        version=needs.version if needs else plan.settings.nanoclaw_ref,
        stash=stash if checkout.changed else None,
        node=node_of(checkout),
        copy=copy.file if copy else None,
        needs=needs,
    )


def node_of(checkout: CheckoutState) -> str | None:
    """Return the major version of the machine's Node."""
    return checkout.node.split(".")[0] if checkout.node else None


def change_text(change: VersionChange, plan: HostPlan) -> str:
    """Return what a change of version does, for the operator before it begins."""
    seconds = plan.settings.nanoclaw_drain_seconds
    return (
        f"changes from {change.before[:12]} to {change.version} ({change.commit[:12]}): staged beside it while it "
        f"serves; then its agents have {seconds} s to finish, and {plan.unit} stops for the switch and its gate"
    )


def change_notes(checkout: CheckoutState, plan: HostPlan) -> list[str]:
    """Return what a change of version does beside the code, for the operator before it begins."""
    copy = restores(checkout.version, plan)
    back = [f"data/v2.db goes back to its copy of {copy.version}; the present one is kept beside"] if copy else []
    return [*version_notes(checkout.version, plan, checkout.commit), *back]


def change_problems(progress: Progress, plan: HostPlan, change: VersionChange | None) -> list[str]:
    """Return why a host cannot change its version now, each with the way out."""
    if progress.under_way:
        return [f"a change of version is under way: wait for its end (systemctl status {service(plan)}) and run again"]
    bad = progress.bad.get(change.commit) if change else None
    if change and bad and bad.count >= MOST_FAILURES:
        return [
            f"{change.version} was rolled back {bad.count} times on this machine: see {directory(plan)}/journal.json, "
            f"then set another nanoclaw_ref, or remove {directory(plan)}/{BAD_VERSIONS} to try it again"
        ]
    return []
