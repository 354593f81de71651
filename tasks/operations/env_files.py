"""NanoClaw's .env; files.line would show its secrets in argv, and follow links that the host user makes."""

import json
import secrets
from dataclasses import replace

from pyinfra import host
from pyinfra.api.exceptions import OperationError

from files.pods.service.protocol import EnvState, SetEnvRequest
from tasks.command import run_request
from tasks.model.fleet.plan import HostPlan
from tasks.model.host.env_files import differing, entries_of, env_request, open_places, refusals
from tasks.model.ownership.owners import expected_owner
from tasks.operations.base import Commands, lasting_operation, read_state
from tasks.operations.dry_run import mark_pending, with_pending_owners
from tasks.report import say

KEY = secrets.token_hex(32)
"""Of this run: digests that are made with it, and may be printed, tell nothing without it."""


@lasting_operation
def env_files(plan: HostPlan) -> Commands:
    """Set the entries of nanoclaw_env in .env and keep .env and NanoClaw's copy of it from other users.

    Owns: these entries, with nanoclaw_gateway also its kind and the address of its server; the modes 0600 of .env and
    data/env/env, 0700 of data/env, and their owner, where the server does not decide it. Leaves alone: all other lines
    of .env, the content of the copy; makes no .env without entries.
    Changes: when an entry differs (compared by keyed digests: a value is never in argv, a diff or a log), or a mode
    or an owner does. Refuses links at these places.
    """
    entries = entries_of(plan)
    current = read_state(EnvState, env_request(plan), f"{KEY}\n")
    current = replace(current, places=with_pending_owners(current.places))
    refused = refusals(plan.root, current)
    if refused:
        raise OperationError("; ".join(refused))
    owner = expected_owner(plan, "project root")
    names, rights = differing(entries, current, KEY), open_places(plan.root, owner, current)
    if not names and not rights:
        host.noop(f"{len(entries)} entries of .env are set, and only the host process reads it")
        return
    for reason in (*(f".env: {name} differs" for name in names), *rights):
        say(reason)
    if names:
        mark_pending("environment")
    request = SetEnvRequest(plan.root, (owner.uid, owner.gid) if owner else None)
    yield run_request(request, json.dumps(entries))
