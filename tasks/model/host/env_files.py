"""The entries of .env that the role sets, without a value ever leaving its place.

A machine answers with keyed digests of what its .env says; the comparison is made here. Values travel to the
machine by standard input alone.
"""

import hashlib
import hmac
from collections.abc import Mapping

from files.pods.service.protocol import EnvState, EnvStateRequest
from tasks.model.access.identity import Ids
from tasks.model.fleet.plan import HostPlan


def places(root: str) -> dict[str, str]:
    """The places that hold secrets, and their modes."""
    return {f"{root}/.env": "0600", f"{root}/data/env": "0700", f"{root}/data/env/env": "0600"}


def entries_of(plan: HostPlan) -> dict[str, str]:
    """The entries of .env by the settings: those of the gateway, and nanoclaw_env."""
    kind, server = plan.settings.nanoclaw_gateway, plan.settings.nanoclaw_gateway_server
    ours = {"NANOCLAW_GATEWAY_PROVIDER": kind, "ONECLI_URL": server} if kind and server else {}
    return {**ours, **plan.settings.nanoclaw_env}


def digest(key: str, value: str) -> str:
    """The keyed digest of a value; `files/pods/service/env_state.py` makes the same."""
    return hmac.new(bytes.fromhex(key), value.encode(), hashlib.sha256).hexdigest()


def differing(entries: Mapping[str, str], current: EnvState, key: str) -> list[str]:
    """The names of the entries that .env does not say as wanted."""
    return [name for name, value in entries.items() if current.digests.get(name) != digest(key, value)]


def open_places(root: str, owner: Ids | None, current: EnvState) -> list[str]:
    """What of these places is there and has another mode or owner. No owner: the server decides it."""
    problems = []
    for path, mode in places(root).items():
        place = current.places[path]
        if place.kind == "absent":
            continue
        if place.mode != mode:
            problems.append(f"{path} has mode {place.mode}, not {mode}")
        if owner and (place.uid, place.gid) != (owner.uid, owner.gid):
            problems.append(f"{path} belongs to {place.uid}:{place.gid}, not {owner}")
    return problems


def refusals(root: str, current: EnvState) -> list[str]:
    """Why these places cannot be worked on, each with the way out."""
    kinds = {path: "directory" if mode == "0700" else "file" for path, mode in places(root).items()}
    return [
        f"{path} is a {current.places[path].kind}, and the role follows no link to secrets: make it a {kind}"
        for path, kind in kinds.items()
        if current.places[path].kind not in (kind, "absent")
    ]


def env_request(plan: HostPlan) -> EnvStateRequest:
    """What a host is asked about its .env."""
    return EnvStateRequest(plan.root, sorted(entries_of(plan)), list(places(plan.root)))
