"""The changes that the pods' mounts need: the desired state against the current one, or a refusal."""

from dataclasses import dataclass, replace
from typing import Literal

from files.pods.nfs.mount_state import MountState, Point
from files.pods.nfs.protocol import MountsRequest
from tasks.model.fleet.plan import HostPlan, Source
from tasks.model.fleet.system_paths import STATE_DIRECTORY
from tasks.model.nfs.mount_options import MOUNT_FLAGS, by_remount, differences, sentence
from tasks.model.nfs.mount_refusals import (
    fstab_notes,
    must_seal,
    refuse_foreign_bind,
    refuse_other,
    refuse_stack,
    way_out,
)
from tasks.model.nfs.mount_unit import bind_unit, mount_options, pods_unit
from tasks.model.problem import UnfitError
from tasks.model.systemd_names import unit_name

STAMP = f"{STATE_DIRECTORY}/export"
"""Which export the machine's cached permissions belong to."""

TRIED = f"{STATE_DIRECTORY}/refused-options"
"""What mounting anew did not change: tried once, so that no run interrupts the agents for it again."""

Action = Literal["keep", "ask", "mount", "remount", "cycle"]
"""ask: see whether the server answers after all; cycle: stop who uses the mount, unmount, mount again, start what
was stopped."""


@dataclass(frozen=True)
class DesiredMount:
    """One desired mount: its path, its unit's text."""

    path: str
    text: str

    @property
    def unit(self) -> str:
        """The name of its unit."""
        return unit_name(self.path)


@dataclass(frozen=True)
class Decision:
    """What one mount needs. Everything false and `keep`: nothing."""

    action: Action = "keep"
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What the operator should know although nothing follows from it."""
    write: bool = False
    old: str | None = None
    """The text of the unit file that is there."""
    reload: bool = False
    enable: bool = False
    seal: bool = False
    lazy: bool = False
    flush: bool = False
    stamp: bool = False
    forget: bool = False
    """What was tried is settled now."""

    @property
    def settled(self) -> bool:
        """Whether there is nothing to change."""
        steps = (self.write, self.reload, self.enable, self.seal, self.stamp, self.forget)
        return self.action == "keep" and not any(steps)


def options_of(plan: HostPlan) -> tuple[str, ...]:
    """The options of the pods' mount."""
    if plan.source is None:
        return ()
    return mount_options(plan.source, plan.settings.pods_nfs_version, _extra(plan))


def pods_of(plan: HostPlan, source: Source) -> DesiredMount:
    """The pods' mount."""
    path = plan.settings.pods_path
    return DesiredMount(path, pods_unit(source, path, options_of(plan)))


def _extra(plan: HostPlan) -> list[str]:
    """The operator's options."""
    return [*plan.settings.pods_mount_options, *plan.settings.pods_mount_options_unchecked]


def binds_of(plan: HostPlan) -> list[DesiredMount]:
    """The binds of a local project root."""
    pods, remote, flags = plan.settings.pods_path, plan.source is not None, bind_flags(plan)
    return [
        DesiredMount(target, bind_unit(source, target, pods, flags, remote=remote)) for source, target in plan.binds
    ]


def bind_flags(plan: HostPlan) -> tuple[str, ...]:
    """The options of a bind: of the pods' own, those that belong to a mount and not to its file system."""
    return ("nosuid", "nodev", *(option for option in _extra(plan) if option in MOUNT_FLAGS))


def stamp_of(plan: HostPlan) -> str:
    """What the stamp says of an export: its source and its squash options."""
    squash = " ".join(plan.squash.options()) if plan.squash else "unknown"
    return f"{plan.source} {squash}\n"


def decide_pods(plan: HostPlan, source: Source, state: MountState) -> Decision:
    """What the pods' mount needs, or an UnfitError."""
    desired = pods_of(plan, source)
    point = state.points[desired.path]
    notes = [*fstab_notes(source, [line for line in state.fstab if line.path == desired.path])]
    refuse_stack(desired.path, point.mounts)
    action: Action = "mount"
    reasons, lazy = ["nothing is mounted"], False
    if point.mounts:
        live = point.mounts[0]
        refuse_other(desired.path, source, live)
        differing = differences(options_of(plan), live.options)
        if point.answer == "stale":
            action, reasons, lazy = "cycle", ["its file handle is stale: the server replaced the directory"], True
        elif point.answer != "ok" and (point.answer == "silent" or not differing):
            action, reasons = "ask", [_no_answer(point)]
        elif differing and state.tried == f"{sentence(differing)}\n":
            raise UnfitError(
                f"{desired.path}: {sentence(differing)}, which a new mount did not change: /etc/nfsmount.conf or "
                "another mount of the same server decides it (a process that holds an unmounted one keeps it alive). "
                f"Correct that or pods_mount_options; to have it tried again, remove {TRIED}"
            )
        elif differing:
            # A server that no longer speaks the version of the mount answers every stat(2) with an error.
            lazy = point.answer == "error"
            action, reasons = "remount" if by_remount(differing) and not lazy else "cycle", [sentence(differing)]
        else:
            action, reasons = "keep", []
    forget = state.tried is not None and action == "keep"
    stamp = state.stamp != stamp_of(plan)
    flush = stamp and bool(point.mounts)
    decision = Decision(action, tuple(reasons), lazy=lazy, flush=flush, stamp=stamp, forget=forget)
    return _with_unit(decision, desired, state, notes)


def decide_bind(plan: HostPlan, source: str, desired: DesiredMount, state: MountState) -> Decision:
    """What the bind of one directory of the pods needs, or an UnfitError."""
    point = state.points[desired.path]
    notes = []
    for line in state.fstab:
        if line.path == desired.path:
            if line.source != source or "bind" not in line.options:
                raise UnfitError(f"/etc/fstab mounts something else at {desired.path}: {line.line!r}; remove that line")
            notes.append(f"the line {line.line!r} of /etc/fstab has no effect any more: {desired.unit} replaces it")
    refuse_stack(desired.path, point.mounts)
    action: Action = "mount"
    reasons = ["nothing is mounted"]
    if point.mounts:
        live = point.mounts[0]
        refuse_foreign_bind(plan, source, desired.path, live, state)
        there = state.sources.get(source)
        differing = differences(bind_flags(plan), [option for option in live.options if option in MOUNT_FLAGS])
        if point.answer in ("silent", "error"):
            action, reasons = "ask", [_no_answer(point)]
        elif point.answer == "stale" or there is None or there != point.identity:
            action, reasons = "cycle", [f"it shows a directory that {source} replaced since"]
        elif differing:
            action, reasons = "remount", [sentence(differing)]
        else:
            action, reasons = "keep", []
    decision = Decision(action, tuple(reasons), lazy=point.answer == "stale")
    return _with_unit(decision, desired, state, notes, way_out(plan, source, desired.path))


def _no_answer(point: Point) -> str:
    return f"it fails: {point.detail}" if point.detail else "the server does not answer"


def _with_unit(
    decision: Decision, desired: DesiredMount, state: MountState, notes: list[str], way: str = ""
) -> Decision:
    """Add to a decision what the mount's unit and the directory beneath it need."""
    point, unit = state.points[desired.path], state.units[desired.path]
    seal = must_seal(desired.path, point.beneath, notes, way, covered=bool(point.mounts))
    write, enable = unit.text != desired.text, not unit.enabled
    reload = write or unit.needs_reload
    return replace(decision, notes=tuple(notes), write=write, old=unit.text, reload=reload, enable=enable, seal=seal)


def mounts_request(plan: HostPlan) -> MountsRequest:
    """What a host is asked about its mounts."""
    planned = binds_of(plan) + ([pods_of(plan, plan.source)] if plan.source else [])
    units = {mount.path: mount.unit for mount in planned}
    return MountsRequest(plan.settings.pods_path, list(plan.binds), units, STAMP, TRIED)
