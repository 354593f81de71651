"""What is found on a machine in the place of the pods' mounts and must not be touched."""

from collections.abc import Iterable, Sequence

from files.pods.nfs.mount_state import Beneath, FstabLine, Mount, MountState
from tasks.model.fleet.plan import HostPlan, Source
from tasks.model.problem import UnfitError
from tasks.model.systemd_names import unit_name


def must_seal(path: str, beneath: Beneath, notes: list[str], way: str, *, covered: bool) -> bool:
    """Whether the directory beneath a mount must be made, or made immutable. UnfitError where it may not be."""
    if beneath.kind in ("link", "other"):
        what = "a symbolic link" if beneath.kind == "link" else "no directory"
        raise UnfitError(f"{beneath.detail} is {what}; systemd mounts on real directories only: give its real path")
    if beneath.kind == "unknown":
        raise UnfitError(f"the directory beneath {path} cannot be read: {beneath.detail}")
    if beneath.entries:
        names = ", ".join(beneath.entries)
        first = f"stop who uses {path}, unmount it, " if covered else ""
        out = way or f"move them away (mv {path} {path}.local; if it is immutable, chattr -i {path} first), run again"
        raise UnfitError(
            f"{path} holds files of this machine's own disk, which a mount hides: {names}. The way out: {first}{out}"
        )
    if beneath.kind == "remote":
        notes.append(f"{path} lies on a network file system, so nothing stops writes while it is not mounted")
        return False
    if beneath.kind == "directory" and beneath.immutable is None:
        notes.append(f"the file system of {path} has no immutable flag: nothing stops writes while it is not mounted")
    return beneath.kind == "absent" or beneath.immutable is False


def way_out(plan: HostPlan, source: str, target: str) -> str:
    """What an operator does about files in the place of a bind."""
    return (
        f"systemctl stop {plan.unit}, keep them (mv {target} {target}.local; if it is immutable, chattr -i {target} "
        f"first), run again, and copy what is an install's own data into the pods "
        f"(cp -R --preserve=mode,timestamps {target}.local/. {source}/)"
    )


def refuse_stack(path: str, mounts: Sequence[Mount]) -> None:
    """Raises an UnfitError for an automount trigger, and for mounts on top of each other."""
    if any(mount.type == "autofs" for mount in mounts):
        raise UnfitError(
            f"{path} is an automount trigger, which counts as mounted when its mount fails: remove the automount "
            f"(x-systemd.automount in /etc/fstab, or its unit), run systemctl daemon-reload and "
            f"systemctl stop {unit_name(path).removesuffix('.mount')}.automount"
        )
    if len(mounts) > 1:
        stack = ", then ".join(f"{mount.source} ({mount.type})" for mount in mounts)
        raise UnfitError(
            f"{len(mounts)} mounts are stacked at {path}: {stack}. Stop who uses them and run umount {path} "
            f"{len(mounts) - 1} times, or until none is left"
        )


def refuse_other(path: str, source: Source, live: Mount) -> None:
    """Raises an UnfitError where something else than the source is mounted."""
    if live.type not in ("nfs", "nfs4") or not is_source(live.source, _addresses(live), source):
        raise UnfitError(
            f"{path} has {live.source} ({live.type}) mounted and should have {source}. Stop who uses it and unmount it "
            f"(systemctl stop {unit_name(path)}), or set pods_server and pods_export to what is mounted"
        )


def _addresses(live: Mount) -> list[str]:
    return [option.partition("=")[2] for option in live.options if option.startswith("addr=")]


def is_source(text: str, addresses: Iterable[str], source: Source) -> bool:
    """Whether what mount(8) calls `text` is the source; `addresses`: those of its server, which it may name."""
    server, _, path = text.rpartition(":/")
    same_server = server.strip("[]") == source.address or source.address in addresses
    return same_server and ("/" + path).rstrip("/") == source.path.rstrip("/")


def fstab_notes(source: Source, lines: Sequence[FstabLine]) -> Iterable[str]:
    """What the operator should know of lines of /etc/fstab; an UnfitError for those that contradict the plan."""
    for line in lines:
        if any(option.startswith("x-systemd.automount") for option in line.options):
            raise UnfitError(f"/etc/fstab makes {line.path} an automount: {line.line!r}; remove that line")
        if not is_source(line.source, line.addresses, source):
            raise UnfitError(
                f"/etc/fstab mounts {line.source} at {line.path}, and it should be {source}: remove that line, or set "
                "pods_server and pods_export to it"
            )
        yield (
            f"the line {line.line!r} of /etc/fstab has no effect any more, {unit_name(line.path)} in "
            "/etc/systemd/system replaces it: remove the line"
        )


def refuse_foreign_bind(plan: HostPlan, source: str, path: str, live: Mount, state: MountState) -> None:
    """Raises an UnfitError where a bind shows something else than its directory of the pods."""
    inside = source.removeprefix(plan.settings.pods_path)
    place = _place(live.source, live.root)
    if plan.source and not state.points[plan.settings.pods_path].mounts:
        # The pods are gone from under a bind that is left over: it still shows them, and nothing else.
        ours = place.endswith(inside) and is_source(place.removesuffix(inside), _addresses(live), plan.source)
    else:
        ours = state.base is not None and place == _place(state.base.source, state.base_root) + inside
    if not ours:
        raise UnfitError(
            f"{path} has {live.source} ({live.type}, {live.root}) mounted and should have {source}. Stop who uses it "
            f"and run umount {path}"
        )


def _place(source: str, root: str) -> str:
    """A directory by its file system: NFS shows it in the source, with / as the root, and others as the root."""
    return (source.rstrip("/") + root.rstrip("/")).removesuffix("//deleted")


def refuse_local(plan: HostPlan, state: MountState) -> None:
    """Raise an UnfitError if local pods lie on a network file system."""
    path = plan.settings.pods_path
    for live in state.points[path].mounts:
        if live.remote or live.type.startswith(("nfs", "autofs")):
            raise UnfitError(
                f"{path} is {live.source} ({live.type}), and pods_server says local: unmount it, or set pods_server "
                "and pods_export to what is mounted"
            )
