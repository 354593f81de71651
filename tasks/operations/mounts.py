"""The pods on a host; server.mount mounts until the next boot, and whatever lies beneath or is mounted there."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from pyinfra import host, inventory, state
from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import OperationError

from files.pods.nfs.mount_state import MountState
from files.pods.nfs.protocol import (
    ApplyMountsRequest,
    DirectoriesRequest,
    FlushRequest,
    MountServer,
    MountUnit,
    SealRequest,
)
from tasks.command import argv, run_request, write_file
from tasks.model.fleet.plan import HostPlan, Source
from tasks.model.nfs.mount_options import without_sizes
from tasks.model.nfs.mount_plan import (
    STAMP,
    TRIED,
    Decision,
    DesiredMount,
    bind_flags,
    binds_of,
    decide_bind,
    decide_pods,
    mounts_request,
    options_of,
    pods_of,
    stamp_of,
)
from tasks.model.nfs.mount_refusals import refuse_local
from tasks.model.nfs.mount_unit import unit_path
from tasks.model.ownership.owners import directory_creator, expected_owner
from tasks.operations.base import Commands, lasting_operation, read_state
from tasks.report import log, say, show_diff


def _read_state(plan: HostPlan) -> MountState:
    return read_state(MountState, mounts_request(plan))


@lasting_operation
def pods_directory(plan: HostPlan) -> Commands:
    """Make the pods' directory on a local file system.

    Owns: that it is there. Leaves alone: its owner, its mode, what is in it and which disk it is on.
    Changes: when it is missing. Errors: a network file system where the settings say local.

    + plan: the host's plan, with no source
    """
    current = _read_state(plan)
    path = plan.settings.pods_path
    refuse_local(plan, current)
    point = current.points[path]
    if point.beneath.kind in ("link", "other"):
        raise OperationError(f"{point.beneath.detail} is a link or no directory: give the real path as pods_path")
    if point.mounts or point.beneath.kind != "absent":
        host.noop(f"{path} exists")
        return
    yield argv("install", "-d", "-m", "0755", path)


@lasting_operation
def pods_mount(plan: HostPlan) -> Commands:
    """Mount the export at pods_path, now and at boot, over an immutable mount point.

    Owns: the mount unit in /etc/systemd/system, the live mount and those of its options that the role knows, the
    immutable flag of the directory beneath, and the flush of cached permissions after the export changed
    (/var/lib/nanoclaw-pods/export says for which one it was done).
    Leaves alone: /etc/fstab, mounts of anything else, sizes that the server negotiated down.
    Changes: when the unit, the live options, the immutable flag or the export differ, or the file handle is stale.
    Options that a remount cannot change (nfs(5), THE REMOUNT OPTION) and a stale handle stop the service and the
    agents, unmount, mount again and start what was stopped; this is said. Afterwards the live mount is looked at
    again, for a remount may answer 0 and change nothing.
    Errors: something else at the path, stacked mounts, an automount, files beneath the mount point, a server that
    cannot be reached or refuses; each with what is there and the way out.

    + plan: the host's plan, with a source
    """
    source = _source(plan)
    decision = decide_pods(plan, source, _read_state(plan))
    for note in decision.notes:
        say(note)
    if decision.settled:
        host.noop(f"{source} is mounted at {plan.settings.pods_path} with the right options")
        return
    desired = pods_of(plan, source)
    yield from _prepare(plan, [(desired, decision)], None)
    if decision.action != "keep":
        yield _act(plan, [(desired, decision)])
    if decision.stamp and not _server_failed(plan):
        yield run_request(FlushRequest(decision.flush, STAMP, stamp_of(plan)))
    if decision.forget:
        yield argv("rm", "--force", TRIED)
    if not state.is_executing or decision.action == "keep":
        return
    after = decide_pods(plan, source, _read_state(plan))
    if after.action != "keep" and decision.action == "remount":
        after = replace(after, action="cycle")
        _explain(plan, [(desired, after)], log)
        yield _act(plan, [(desired, after)])
        after = decide_pods(plan, source, _read_state(plan))
    if after.action != "keep":
        reasons = ", ".join(after.reasons)
        if after.action == "cycle" and not after.lazy:
            yield write_file(TRIED, f"{reasons}\n")
        raise OperationError(f"{plan.settings.pods_path} still differs after the change: {reasons}")


@lasting_operation
def pods_binds(plan: HostPlan) -> Commands:
    """Show the pods' session and group directories inside a local project root, by bind mounts.

    Owns: the directories on the pods, made for the host process (under squash for whom the server makes them),
    the mount units of the binds, and the immutable, empty directories beneath them. Makes the project root's
    missing directories for the host process. Leaves alone: what is in any of them.
    Changes: when a directory, a unit, a bind or its immutable flag is missing, or a bind shows what is no longer
    there; a bind that must be made anew stops the service and the agents first.
    Errors: files in the place of a bind, which the mount would hide; another mount there.

    + plan: the host's plan, with a local project root
    """
    current = _read_state(plan)
    decided = _decide_binds(plan, current)
    for note in dict.fromkeys(note for _desired, decision in decided for note in decision.notes):
        say(note)
    sources = [source for source, _target in plan.binds if current.sources.get(source) is None]
    if not sources and all(decision.settled for _desired, decision in decided):
        host.noop(f"{' and '.join(target for _source, target in plan.binds)} show the pods")
        return
    yield from _prepare(plan, decided, sources)
    acting = [(desired, decision) for desired, decision in decided if decision.action != "keep"]
    if not acting:
        return
    yield _act(plan, acting)
    if not state.is_executing:
        return
    wrong = [
        (mount, decision) for mount, decision in _decide_binds(plan, _read_state(plan)) if decision.action != "keep"
    ]
    if wrong:
        raise OperationError("; ".join(f"{mount.path}: {', '.join(after.reasons)}" for mount, after in wrong))


def _source(plan: HostPlan) -> Source:
    if plan.source is None:
        raise OperationError("the pods are a local file system: there is nothing to mount")
    return plan.source


def _decide_binds(plan: HostPlan, current: MountState) -> list[tuple[DesiredMount, Decision]]:
    return [
        (desired, decide_bind(plan, source, desired, current))
        for (source, _target), desired in zip(plan.binds, binds_of(plan), strict=True)
    ]


def _prepare(plan: HostPlan, decided: Sequence[tuple[DesiredMount, Decision]], sources: list[str] | None) -> Commands:
    """Everything before something is mounted: unit files, directories, immutable flags."""
    for desired, decision in decided:
        if decision.write:
            show_diff(unit_path(desired.path), decision.old, desired.text)
    _explain(plan, decided)
    for desired, decision in decided:
        if decision.write:
            yield write_file(unit_path(desired.path), desired.text)
    enable = [desired.unit for desired, decision in decided if decision.enable]
    if enable:
        yield argv("systemctl", "--no-reload", "enable", "--quiet", *enable)
    if enable or any(decision.reload for _desired, decision in decided):
        yield argv("systemctl", "daemon-reload")
    if sources:
        owner, creator = expected_owner(plan), directory_creator(plan)
        pair, creator_pair = owner.pair if owner else None, creator.pair if owner and creator else None
        is_mount = plan.source is not None
        yield run_request(DirectoriesRequest(plan.settings.pods_path, is_mount, sources, pair, creator_pair))
    unsealed = [desired.path for desired, decision in decided if decision.seal]
    if unsealed:
        inside = None if plan.root_on_pods else plan.root
        yield run_request(SealRequest(unsealed, inside, plan.host_ids.pair))


def _explain(
    plan: HostPlan, decided: Sequence[tuple[DesiredMount, Decision]], tell: Callable[[str], object] = say
) -> None:
    """Print what is going to happen to mounts, before the first command, so that a dry run prints it too."""
    for desired, decision in decided:
        if decision.action != "keep":
            tell(f"{desired.path}: {', '.join(decision.reasons)}: {_ACTIONS[decision.action]}")
    if any(decision.action == "cycle" for _desired, decision in decided):
        tell(f"stops {plan.unit} and its agents if they run, and starts the service again afterwards")


def _act(plan: HostPlan, acting: Sequence[tuple[DesiredMount, Decision]]) -> StringCommand:
    cycle = any(decision.action == "cycle" for _desired, decision in acting)
    mounts = binds_of(plan)
    if plan.source and any(desired.path == plan.settings.pods_path for desired, _decision in acting):
        mounts = [pods_of(plan, plan.source), *mounts]
    remounts = [] if cycle else [desired for desired, decision in acting if decision.action == "remount"]
    return run_request(
        ApplyMountsRequest(
            cycle=cycle,
            mounts=[MountUnit(mount.unit, mount.path) for mount in mounts],
            start=[desired.unit for desired, _decision in acting if desired not in remounts],
            remount=[_remount(plan, desired.path) for desired in remounts],
            server=_server(plan),
            service=plan.unit,
            install=plan.slug,
            lazy=any(decision.lazy for _desired, decision in acting),
        )
    )


def _remount(plan: HostPlan, path: str) -> list[str]:
    if path != plan.settings.pods_path:
        return ["mount", "-o", ",".join(["remount", "bind", "rw", *bind_flags(plan)]), path]
    options = ",".join(["remount", "rw", *without_sizes(options_of(plan))])
    return ["mount", "-t", "nfs", "-o", options, str(plan.source), path]


def _server(plan: HostPlan) -> MountServer | None:
    if plan.source is None:
        return None
    ports = [option.removeprefix("port=") for option in plan.settings.pods_mount_options if option.startswith("port=")]
    return MountServer(plan.source.address, int(ports[-1]) if ports else 2049, plan.source.path)


def _server_failed(plan: HostPlan) -> bool:
    """Whether the server's part of this run failed: what it answers then is not yet what the plan says."""
    return bool(state.is_executing and plan.server and inventory.get_host(plan.server) in state.failed_hosts)


_ACTIONS = {"ask": "asks the server", "mount": "mounts it", "remount": "remounts it", "cycle": "mounts it again"}
