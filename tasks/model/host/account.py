"""The host user's account on a machine: what it lacks, and why it cannot be as planned."""

from files.pods.machine.protocol import AccountState
from tasks.model.fleet.plan import HostPlan
from tasks.model.problem import SettingProblem


def account_problem(account: AccountState, plan: HostPlan) -> SettingProblem | None:
    """Return why the host user cannot be as planned, and the way out. An existing account is never changed."""
    name, ids = plan.settings.nanoclaw_user, plan.host_ids
    if account.ids is not None and account.ids != (ids.uid, ids.gid):
        uid, gid = account.ids
        text = (
            f"user {name} is {uid}:{gid} on this machine, not {ids}: set nanoclaw_uid to {uid} and "
            f"nanoclaw_gid to {gid}, or nanoclaw_user to another name"
        )
        return SettingProblem("nanoclaw_user", "user-has-other-ids", text)
    if account.ids is not None:
        return None
    if account.uid_user is not None:
        way = "leave nanoclaw_uid out, or set it to a free number"
        text = f"uid {ids.uid} belongs to user {account.uid_user} on this machine, not to {name}: {way}"
        return SettingProblem("nanoclaw_user", "uid-of-other-user", text)
    if account.gid_group is None and account.name_gid is not None:
        text = (
            f"group {name} has gid {account.name_gid} on this machine, not {ids.gid}: set nanoclaw_gid to "
            f"{account.name_gid}, or nanoclaw_user to another name"
        )
        return SettingProblem("nanoclaw_user", "group-has-other-gid", text)
    return None


def account_drift(account: AccountState, plan: HostPlan) -> bool:
    """Whether the host user, its home directory or its membership of the group docker is missing. Never for root."""
    if plan.settings.nanoclaw_user == "root":
        return False
    return not (account.ids and account.home_exists and account.in_docker)
