"""Refuse a host for what was observed of its server, each refusal with the way out."""

from collections.abc import Iterator
from dataclasses import dataclass

from files.pods.nfs.protocol import ServerObservation
from tasks.model.access.choose_strategy import AccessError, StrategySetting, choose
from tasks.model.access.identity import Ids, Squash
from tasks.model.access.observed_squash import (
    BROKEN_MAPPING,
    REFUSED,
    contradiction,
    description,
    mapping_is_broken,
    observed_squash,
)
from tasks.model.access.strategy import CANNOT, Strategy

SILENT = ("ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH", "ECONNREFUSED", "EHOSTDOWN")

_NOT_MOUNTED = {
    **dict.fromkeys(SILENT, "start the server, or let this host reach it"),
    **dict.fromkeys(REFUSED, "let the server export {export} to this host's address"),
    "ENOENT": "let the server export {export}, or set pods_export to a directory that it exports",
    "ENODEV": "this machine's kernel has no NFS: install the kernel's modules",
    **dict.fromkeys(("EPROTONOSUPPORT", "EPROTO"), "set pods_nfs_version to one that the server speaks"),
}
_NOTHING_MADE = {
    **dict.fromkeys(REFUSED, "chown {export} to the agent ({agent}) on the server"),
    "EROFS": "let the server export {export} for writing (rw)",
    **dict.fromkeys(("ENOSPC", "EDQUOT"), "free some space on the server"),
}
_SEE_LOGS = "see the logs of the server and of this machine's kernel"


@dataclass(frozen=True)
class Wish:
    """What a host's settings require of a server that the role does not manage."""

    export: str
    access: StrategySetting
    host: Ids
    agent: Ids
    stated: Squash | None
    """What pods_export_options say that the server does."""


def refusals(wish: Wish, observed: ServerObservation | None) -> Iterator[tuple[str, str]]:
    """Yield settings and why each is refused. `None`: the observation failed, and nothing is assumed."""
    if observed is None:
        yield "pods_server", "could not observe how the server maps ids: run again with -v to see why"
    elif observed.state != "seen":
        yield "pods_server", f"{description(observed)} ({observed.state}): {_way(wish, _NOT_MOUNTED, observed.state)}"
    elif mapping_is_broken(observed, wish.agent):
        yield "pods_server", BROKEN_MAPPING
    elif not any(isinstance(made, list) for made in observed.made.values()):
        names = [str(made) for made in observed.made.values()]
        worst = next((name for name in names if name not in REFUSED), names[0] if names else "")
        yield (
            "pods_server",
            f"{description(observed)}: nobody may create anything there; {_way(wish, _NOTHING_MADE, worst)}",
        )
    else:
        yield from _by_ids(wish, observed)


def _way(wish: Wish, ways: dict[str, str], name: str) -> str:
    return ways.get(name, _SEE_LOGS).format(export=wish.export, agent=wish.agent)


def _by_ids(wish: Wish, observed: ServerObservation) -> Iterator[tuple[str, str]]:
    if wish.stated and (text := contradiction(observed, wish.stated, wish.host, wish.agent, wish.access)):
        yield "pods_export_options", text
    squash = wish.stated or observed_squash(observed, wish.host, wish.agent)
    if squash is None:
        options = ",".join(Squash("all", wish.agent).options())
        text = f"{description(observed)}, which fits no squash option: let the server export with {options}, or state"
        yield "pods_server", f"{text} its options in pods_export_options"
        return
    strategy = _strategy(wish, squash)
    if strategy and strategy.needs_guard and observed.directory_made and observed.chown:
        why = ": it restricts chown" if observed.chown == "EPERM" else ""
        text = f"the server does not let root chown files ({observed.chown}{why}): "
        yield (
            "pods_access",
            f"{text}{CANNOT['guard chowns the tree to the agent']}; let the server allow it, or export with all_squash",
        )
    if strategy and observed.mount_point in REFUSED:
        text = f"the server does not let root create entries in a directory of the agent ({observed.mount_point})"
        yield "pods_server", f"{text}: {CANNOT['dockerd makes the mount points']}; let the server allow it"


def _strategy(wish: Wish, squash: Squash) -> Strategy | None:
    """Return the strategy; None where there is none: the plan refuses that itself."""
    try:
        return choose(wish.access, wish.host, wish.agent, managed=False, squash=squash)
    except AccessError:
        return None
