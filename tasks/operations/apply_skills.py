"""The gateway and the channels of a checkout; pyinfra has nothing for NanoClaw's own setup."""

import json

from pyinfra import host, state

from files.pods.source.protocol import CheckoutState
from tasks.command import run_request
from tasks.model.fleet.plan import HostPlan
from tasks.model.host.checkout import checkout_request
from tasks.model.versions.skills import skills_drift, skills_payload, skills_request
from tasks.operations.base import Commands, lasting_operation, read_state
from tasks.operations.dry_run import is_pending, mark_pending
from tasks.report import show_reasons


@lasting_operation
def apply_skills(plan: HostPlan) -> Commands:
    """Apply nanoclaw_gateway and nanoclaw_channels to the checkout by NanoClaw's own setup, and build it with them.

    Owns: what these skills write into the checkout (package.json, the lock file, imports, files of their own), and
    .git/nanoclaw-pods-skills, the record of it. Leaves alone: a gateway or a channel that the checkout has already,
    logins and pairings, the gateway's server. NanoClaw's setup makes no commit, and does not restart the service.
    Changes: when the record is of another commit, of other settings or of another server, or a file of it is missing.
    A move of the checkout undoes what was applied, and this operation applies it again.
    Errors: a skill that is not applied, or does not build; then what was applied before comes back.
    """
    current = read_state(CheckoutState, checkout_request(plan, peek=not state.is_executing))
    version = current.version
    request = skills_request(plan, version.needs)
    drift = skills_drift(plan, current)
    if not drift and is_pending("source") and (request.gateway or request.channels):
        drift = ["this run checks out another source"]
    if not drift:
        names = [*([request.gateway] if request.gateway else []), *request.channels]
        host.noop(f"{', '.join(names)} applied" if names else "no gateway and no channel to apply")
        return
    mark_pending("build")
    show_reasons(f"{plan.root}: gateway and channels", drift)
    payload = skills_payload(plan, version.needs)
    yield run_request(request, json.dumps(payload) if payload else "")
