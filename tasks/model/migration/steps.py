"""The steps of a migration: which programs run on the machine, with what, in which order.

Staging while v1 serves, then the switch. NanoClaw's own steps read a view of v1 (files/pods/v1/extract.py), and
what is large goes past them (files/pods/v1/copy.py), so that most of it is done while v1 serves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tasks.model.fleet.plan import HostPlan
from tasks.model.host.service_state import start_arguments
from tasks.model.migration.channels import channel_of
from tasks.model.migration.chats import group_fate
from tasks.model.migration.disk_space import Need
from tasks.model.migration.paths import directory, marker, ran, trying
from tasks.model.migration.v1_state import Install
from tasks.model.ownership.trees import duty, host_trees

Part = Literal["staging", "switching"]
STEP = 600
"""Seconds for a step that does not grow with what v1 has."""
ACCOUNT = "account for all that v1 had"
LONG = 6 * 3600
"""Seconds for one that does, and runs while v1 serves."""
SECRETS, PLAIN = "077", "022"
"""Umasks (umask(2)) of NanoClaw's own steps."""


@dataclass(frozen=True)
class Step:
    """One program that runs on the machine."""

    name: str
    program: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    seconds: int = STEP


def steps(
    part: Part, plan: HostPlan, install: Install, probe: Mapping[str, Any], unseen: Sequence[Need] = ()
) -> list[Step]:
    """The steps of a part, in their order.

    + probe: how the machine runs files/pods/probe/main.py: `argv` and `input`
    + unseen: what could not be judged before the run, since nothing was mounted there yet
    """
    return list(_staging(plan, install, unseen) if part == "staging" else _switching(plan, install, probe))


def back(plan: HostPlan, install: Install) -> Step:
    """What puts v1 back, at any moment and repeatedly."""
    arguments = {
        "v1": _v1(install),
        "v2": plan.unit,
        "label": plan.slug,
        "start": False,
        "serves": False,
        "journal": None,
    }
    arguments |= {"ran": ran(plan), **_files(plan)}
    return Step("put v1 back", "migration.rollback", arguments)


def view(plan: HostPlan) -> str:
    """The view of v1 that NanoClaw's own steps read. Not below the journal's directory, which is root's alone."""
    return f"/var/lib/nanoclaw-pods-view/{plan.slug}"


def channels(install: Install) -> list[str]:
    """The channels of v1's chats, but for chats that are left behind: v2 may have no such channel."""
    database = install.database
    groups = [group for group in database.groups if group_fate(group, database)[0] != "left"]
    return sorted({channel for group in groups if (channel := channel_of(group.jid))})


def _staging(plan: HostPlan, install: Install, unseen: Sequence[Need]) -> Iterator[Step]:
    if unseen:
        yield Step("look for room", "migration.check_space", {"needs": [_need(need) for need in unseen]})
    files = {"v1": install.path, "to": f"{directory(plan)}/backup", **plan.host_user}
    yield Step("put an earlier attempt aside", "migration.archive_attempt", _aside(plan), LONG)
    yield Step("back up v1's database", "v1.backup", files, LONG)
    yield Step("tie the start of v1 and v2 together", "migration.unit_conditions", _units(plan, install))
    yield Step("view v1", "v1.extract", {"v1": install.path, "to": view(plan), **plan.host_user})
    yield _own(plan, "env", mask=SECRETS)  # db asks a channel's server with v1's token
    yield _own(plan, "db")
    yield _own(plan, "sessions")
    yield _copy(plan, install, final=False)
    yield from _ownership(plan, LONG)
    # While v1 serves: without it a version from 2.1.0 on ends at its start.
    yield Step(
        "set the marker of the upgrade",
        "source.upgrade_marker",
        {"root": plan.root, "lock": plan.lock, **plan.host_user},
    )


def _switching(plan: HostPlan, install: Install, probe: Mapping[str, Any]) -> Iterator[Step]:
    yield Step("stop v1", "v1.stop", _stop(plan, install))
    yield Step("view v1 at rest", "v1.extract", {"v1": install.path, "to": view(plan), **plan.host_user})
    yield _own(plan, "env", mask=SECRETS)
    for name in ("db", "groups", "sessions", "tasks"):
        yield _own(plan, name)
    if names := channels(install):
        yield _own(plan, "channel-auth", *names, mask=SECRETS)
    yield _copy(plan, install, final=True)
    policy = plan.settings.nanoclaw_v1_unknown_senders
    kept = sorted(plan.settings.nanoclaw_env)
    correct = {"view": view(plan), "root": plan.root, "unknown_senders": policy, "env_set": kept, **plan.host_user}
    yield Step("correct what NanoClaw's own steps lose", "v1.fix_up", correct)
    yield from _ownership(plan, STEP)
    yield _account(plan, install)
    yield Step("start v2", "service.start", start_arguments(plan, restart=True))
    gate = {"probe": dict(probe), "unit": plan.unit, "root": plan.root, **plan.host_user}
    command = plan.settings.nanoclaw_v1_gate
    yield Step("prove v2", "migration.gate", {**gate, "command": command, "seconds": 300}, 1500)
    text = f"NanoClaw v2 in {plan.root} has taken over from v1 in {install.path}; see {directory(plan)}/record.md\n"
    yield Step("decide for v2", "migration.commit", {**_files(plan), "ran": ran(plan), "text": text})


def _need(need: Need) -> dict[str, Any]:
    return {"paths": list(need.paths), "bytes": need.bytes, "entries": need.entries}


def _v1(install: Install) -> dict[str, Any] | None:
    if not install.units:
        return None
    unit = install.units[0]
    return {"manager": unit.manager, "name": unit.name, "uid": unit.uid}


def _stop(plan: HostPlan, install: Install) -> dict[str, Any]:
    return {"v1": _v1(install), "root": install.path, "trying": trying(plan), "ran": ran(plan)}


def _files(plan: HostPlan) -> dict[str, str]:
    return {"marker": marker(plan), "trying": trying(plan)}


def _units(plan: HostPlan, install: Install) -> dict[str, Any]:
    return {"v1": _v1(install), "v2": plan.unit, **_files(plan)}


def _aside(plan: HostPlan) -> dict[str, Any]:
    sources = {target.rpartition("/")[2]: source for source, target in plan.binds}
    places = {name: sources.get(name, f"{plan.root}/{within}") for name, within in _TREES.items()}
    notes, kept = f"{directory(plan)}/journal.json", sorted(plan.settings.nanoclaw_env)
    return {"root": plan.root, "journal": notes, "trees": places, "view": view(plan), "env_set": kept, **plan.host_user}


_TREES = {"v2-sessions": "data/v2-sessions", "groups": "groups"}


def _own(plan: HostPlan, step: str, *words: str, mask: str = PLAIN) -> Step:
    arguments = {"root": plan.root, "view": view(plan), "step": step, "words": list(words), "mask": mask}
    return Step(f"NanoClaw's step {step}", "migration.upstream_step", {**arguments, **plan.host_user})


def _copy(plan: HostPlan, install: Install, *, final: bool) -> Step:
    seconds = STEP if final else LONG
    arguments = {
        "v1": install.path,
        "root": plan.root,
        "v1_home": install.home,
        "hard_links": duty(plan) != "change",
        "final": final,
        "seconds": seconds - 30,
    }
    return Step("copy what has changed" if final else "copy", "v1.copy", {**arguments, **plan.host_user}, seconds)


def _ownership(plan: HostPlan, seconds: int) -> Iterator[Step]:
    if duty(plan) == "change":
        trees = [tree.arguments() for tree in host_trees(plan)]
        yield Step("give sessions and groups to the agent", "trees.main", {"apply": True, "trees": trees}, seconds)


def _account(plan: HostPlan, install: Install) -> Step:
    agent = plan.stored_agent
    host = plan.squash.seen(plan.host_ids) if plan.squash and plan.root_on_pods else plan.host_ids
    arguments = {
        "v1": install.path,
        "root": plan.root,
        "view": view(plan),
        "agent": {"uid": agent.uid, "gid": agent.gid},
        "host": {"uid": host.uid, "gid": host.gid},
        "deep": False,
        "must": True,
        "seconds": STEP - 30,
        "left": [],
        "env_set": sorted(plan.settings.nanoclaw_env),
        "lists": {"v1_home": install.home, "user": plan.settings.nanoclaw_user} if install.home else None,
    }
    return Step(ACCOUNT, "v1.audit.main", arguments)
