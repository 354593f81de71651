"""Where agents could not read the credential stubs that OneCLI's gateway keeps in data/onecli (from 2.4.0 on).

NanoClaw writes them as the host process, mode 0600, mounts them into agents, and starts no agent where their owner is
another one. So they stay the host's, and the agent must have its uid.
"""

from files.pods.source.protocol import VersionState
from tasks.model.fleet.plan import HostPlan


def stub_problem(state: VersionState, plan: HostPlan) -> str | None:
    """Return why agents would not start, or would not read their credentials, and the way out."""
    needs, settings, uid = state.needs, plan.settings, plan.host_ids.uid
    if needs is None or not (state.stubs or (needs.gateway and settings.nanoclaw_gateway == "onecli")):
        return None
    what, place = f"{settings.nanoclaw_ref} ({needs.version})", f"{plan.root}/data/onecli"
    stored = plan.squash.map_ids(plan.host_ids) if plan.squash else plan.host_ids
    if plan.root_on_pods and stored.uid != uid:
        return (
            f"{what} starts no agent where another user than the host process (uid {uid}) owns {place}, and on these "
            f"pods the server makes uid {stored.uid} the owner: set nanoclaw_root to a directory on a local disk, "
            f"outside of {settings.pods_path}, or nanoclaw_user to a user with uid {stored.uid}"
        )
    if state.stubs and plan.agent.uid != uid:
        return (
            f"{place} has credential stubs of OneCLI that only the host process (uid {uid}) may read, and {what} runs "
            f"agents as uid {plan.agent.uid}: set nanoclaw_user to a user other than root; agents have its uid then"
        )
    return None
