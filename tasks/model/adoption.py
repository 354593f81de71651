"""A NanoClaw v2 that runs on a machine already: whether the role can take it over, and how if not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tasks.model.plan import HostPlan


@dataclass(frozen=True)
class Service:
    """A service that runs a project root, or would."""

    manager: Literal["system", "user"]
    name: str
    file: str
    uid: int | None
    """The user that it runs as; None for one that this machine does not know."""
    active: str


@dataclass(frozen=True)
class Installed:
    """A NanoClaw v2."""

    root: str
    uid: int
    """The owner of its project root."""
    user: str | None
    ours: bool
    """Whether the role runs it."""
    units: list[Service]
    loose: list[int]
    """Processes of it outside of these services."""


@dataclass(frozen=True)
class Installs:
    """What a machine has of NanoClaw v2."""

    installs: list[Installed]


def adoption_problems(found: Installs, plan: HostPlan) -> Iterator[str]:
    """Why the run must not begin: a NanoClaw v2 that the role cannot take over as it is, with the way to adopt it.

    Adopted are, in nanoclaw_root: a service that NanoClaw's own setup made for root, and one of the host user's own.
    """
    for one in found.installs:
        if one.root != plan.root:
            yield from _elsewhere(one, plan)
        else:
            yield from _here(one, plan)


def _elsewhere(one: Installed, plan: HostPlan) -> Iterator[str]:
    if not one.units and not one.loose:
        return
    by = one.units[0].file if one.units else f"process {one.loose[0]}"
    adopt = f"to adopt it, set nanoclaw_root to {one.root}{_as_user(one, plan)}"
    yield f"a NanoClaw v2 runs in {one.root} already ({by}): {adopt}; or {_stop(one)}, then run again"


def _here(one: Installed, plan: HostPlan) -> Iterator[str]:
    for unit in one.units:
        is_the_plans = unit.manager == "system" and unit.name == plan.unit
        if is_the_plans and one.ours:
            continue
        if is_the_plans or unit.manager == "user":
            if unit.uid != plan.host.uid:
                yield (
                    f"{unit.file} runs {one.root} as uid {unit.uid}, and the role would run it as uid {plan.host.uid}: "
                    f"to adopt it{_as_user(one, plan).replace(' and', ', set', 1)}; or {_stop(one)}, then run again"
                )
            elif unit.active == "no manager":
                yield (
                    f"{unit.file} runs {one.root}, and its user's manager, which could disable it, does not run: "
                    f"loginctl enable-linger {unit.uid}, then run again"
                )
        else:
            yield f"{unit.file} runs {one.root}, and {plan.unit} is to: systemctl disable --now {unit.name}, run again"
    if one.loose:
        yield (
            f"process {one.loose[0]} runs {one.root} outside of a service: stop it and what starts it "
            "(start-nanoclaw.sh, a terminal), then run again, and the role adopts it"
        )


def _as_user(one: Installed, plan: HostPlan) -> str:
    if one.uid == plan.host.uid:
        return ""
    if one.uid == 0:
        return " and nanoclaw_user to root"
    return f" and nanoclaw_user to {one.user or one.uid} (nanoclaw_uid {one.uid})"


def _stop(one: Installed) -> str:
    if not one.units:
        return f"stop process {one.loose[0]}"
    unit = one.units[0]
    manager = f"--user --machine={unit.uid}@ " if unit.manager == "user" else ""
    return f"stop it (systemctl {manager}disable --now {unit.name})"
