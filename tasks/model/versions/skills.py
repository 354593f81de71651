"""The gateway and the channels of a host: what its settings desire, and what its checkout has of them."""

from files.pods.source.protocol import CheckoutState, Needs, VersionState
from files.pods.source.skill_documents import SkillsRequest
from tasks.model.fleet.plan import HostPlan

_KEY = "ONECLI_API_KEY"
"""The entry of nanoclaw_env that holds the key of the gateway's server."""


def desired_gateway(plan: HostPlan, needs: Needs | None) -> str | None:
    """The gateway to apply; None where the version has no contract of one, or has one by itself."""
    return plan.settings.nanoclaw_gateway if needs is None or needs.gateway else None


def skills_request(plan: HostPlan, needs: Needs | None) -> SkillsRequest:
    """The gateway and the channels that a host's checkout must have."""
    gateway = desired_gateway(plan, needs)
    return SkillsRequest(
        **plan.host_user,
        root=plan.root,
        lock=plan.lock,
        gateway=gateway,
        server=plan.settings.nanoclaw_gateway_server if gateway else None,
        channels=list(dict.fromkeys(plan.settings.nanoclaw_channels)),
    )


def skills_payload(plan: HostPlan, needs: Needs | None) -> dict[str, str]:
    """What the program reads from its standard input: the key of the gateway's server, if there is one."""
    token = plan.settings.nanoclaw_env.get(_KEY) if desired_gateway(plan, needs) else None
    return {"token": token} if token else {}


def skills_drift(plan: HostPlan, current: CheckoutState) -> list[str]:
    """How the skills of a checkout differ from the settings; nothing for those that are applied to its commit."""
    applied, desired = current.version.applied, skills_request(plan, current.version.needs)
    names = [*([desired.gateway] if desired.gateway else []), *desired.channels]
    if applied is None:
        return [f"{name} is not applied" for name in names]
    before = [*([applied.gateway] if applied.gateway else []), *applied.channels]
    drift = [f"{name} is not applied" for name in names if name not in before]
    drift += [f"{name} is applied, and no setting names it" for name in before if name not in names]
    if names and applied.commit != current.commit:
        drift.append(f"what is applied is of {applied.commit[:12]}")
    if desired.gateway and applied.gateway and applied.server != desired.server:
        drift.append(f"{desired.gateway} is applied with the server {applied.server}")
    if names and not applied.complete:
        drift.append("files of what is applied are missing")
    return drift


def skill_problems(plan: HostPlan, needs: Needs) -> list[str]:
    """Why a version cannot have the gateway and the channels of a host, each with the way out."""
    settings, what = plan.settings, f"{plan.settings.nanoclaw_ref} ({needs.version})"
    known = ", ".join(needs.skills) or "none"
    problems = []
    if needs.gateway and settings.nanoclaw_gateway is None:
        problems.append(
            f"{what} starts only with a credential gateway, and it registers none "
            "(src/gateway-providers/installed.ts). "
            'Set nanoclaw_gateway to "onecli" and nanoclaw_gateway_server to the address of a OneCLI that runs, or '
            "nanoclaw_ref to a version before 2.4.0"
        )
    elif needs.gateway and settings.nanoclaw_gateway not in needs.skills:
        problems.append(
            f"{what} cannot apply the gateway {settings.nanoclaw_gateway} by itself; what it can apply: {known}. "
            "Set nanoclaw_ref to another version"
        )
    if unknown := [name for name in settings.nanoclaw_channels if name not in needs.skills]:
        problems.append(
            f"{what} cannot install the channels {', '.join(unknown)} by itself; what it can apply: {known}. "
            "Correct nanoclaw_channels"
        )
    return problems


def left_behind(plan: HostPlan, version: VersionState) -> str | None:
    """Why a move would lose what NanoClaw's own setup has committed, and the way out; None where it would not."""
    settings = plan.settings
    names = {settings.nanoclaw_gateway, *settings.nanoclaw_channels}
    lost = [name for name in version.setup if name.split(" ")[-1].removeprefix("add-") not in names]
    if not lost or settings.nanoclaw_local_changes == "stash":
        return None
    return (
        f"NanoClaw's own setup has committed {', '.join(lost)} to {plan.root}, and {settings.nanoclaw_ref} would run "
        "without: name it in nanoclaw_gateway or nanoclaw_channels, so that the role applies it again, or set "
        'nanoclaw_local_changes to "stash" to leave it behind'
    )
