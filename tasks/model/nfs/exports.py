"""The text that an NFS server reads, exports(5), and what the role does to the table in force: only to its own entries.

The drop-in holds the exports of all inventories that share the server. An export that this inventory does not have
belongs to a host that left it, or to another one: it stays, and is named, until the operator says that it goes.
"""

import ipaddress
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from files.pods.nfs.export_state import ExportState
from tasks.model.fleet.addresses import ip_address
from tasks.model.fleet.plan import Export, ServerPlan, lies_in
from tasks.model.sanitize import printable

DROPIN = "/etc/exports.d/nanoclaw-pods.exports"

HEADER = "# Written by nanoclaw-pods; changes are undone by its next run.\n"

_LINES = re.compile(
    r"^# ([A-Za-z0-9._@:+?-]+)\n(/[A-Za-z0-9._@+/-]*) ([0-9a-f:.]+)\(([A-Za-z0-9_=,:]+)\)$", re.MULTILINE
)
"""An export as the role writes it: the host's name, then the directory, one address and the options."""

Key = tuple[str, str]
"""A directory and a client."""


@dataclass(frozen=True)
class Kept:
    """An export of the drop-in that this inventory does not have."""

    host: str
    path: str
    client: str
    options: str

    @property
    def key(self) -> Key:
        """What it is told from others by."""
        return (self.path, self.client)

    def __str__(self) -> str:
        return f"{self.path} to {self.client} ({self.host})"


def exports_text(exports: Sequence[Export], kept: Sequence[Kept] = ()) -> str:
    """The drop-in of /etc/exports.d: one line for each client, options stated in full.

    Two inventories write the same text. A machine's name may hold anything: a line break or a backslash at its end
    would make another line of a comment.
    """
    name = re.compile(r"[^A-Za-z0-9._@:+-]")
    lines = [(it.path, it.client, name.sub("?", it.host), ",".join(it.options)) for it in exports]
    lines += [(it.path, it.client, it.host, it.options) for it in kept]
    lines.sort(key=lambda line: line[:2])
    return HEADER + "".join(f"# {host}\n{path} {client}({options})\n" for path, client, host, options in lines)


def table_entries(exports: Sequence[Export]) -> list[list[str]]:
    """The entries of the table in force that the exports must become, as `files/pods/nfs/exports.py` reads them."""
    return sorted([export.path, export.client, *export.options] for export in exports)


def kept_exports(plan: ServerPlan, state: ExportState) -> list[Kept]:
    """The exports of the drop-in that are not this inventory's and stay."""
    removable = {*plan.settings.nfs_remove_exports, *plan.settings.nfs_remove_mounted_exports}
    planned = _keys(plan)
    return [it for it in _in_dropin(state) if it.key not in planned and it.path not in removable]


def removed_exports(plan: ServerPlan, state: ExportState) -> list[Key]:
    """What the drop-in will define no more: what the operator says, and lines that the role did not write."""
    stay = _keys(plan) | {it.key for it in kept_exports(plan, state)}
    own = {(path, client) for path, client in state.own} | {it.key for it in _in_dropin(state)}
    return sorted(own - stay)


def table_drift(plan: ServerPlan, state: ExportState) -> list[str]:
    """What is wrong with the role's entries in force: those that are missing or different, and those that go."""
    force = {(path, client): options for path, client, *options in state.table}
    drift = [
        f"{path} is not exported to {client} with {','.join(options)}"
        for path, client, *options in table_entries(plan.exports)
        if force.get((path, client)) != options
    ]
    gone = [key for key in removed_exports(plan, state) if key in force]
    return drift + [f"{path} is still exported to {client}" for path, client in gone]


def conflicts(plan: ServerPlan, state: ExportState) -> list[str]:
    """Other files' definitions of what we are to export: of two, the one that exportfs reads first counts."""
    ours = _keys(plan)
    return [
        f"{file} exports {path} to {client} already: remove that line, then run again"
        for file, path, client in state.elsewhere
        if (path, client) in ours
    ]


def export_refusals(plan: ServerPlan, state: ExportState) -> list[str]:
    """Why the exports cannot be brought about, each with the way out."""
    return [*conflicts(plan, state), *_shared_trees(plan, state), *_in_use(plan, state)]


def export_notes(plan: ServerPlan, state: ExportState) -> list[str]:
    """What an operator is to know of exports that are not this run's: they stay as they are."""
    force = {(path, client) for path, client, *_ in state.table}
    kept, notes = kept_exports(plan, state), []
    if kept:
        text = "exported to hosts that are not in this inventory, and left alone"
        notes.append(f"{text}: {some(list(map(str, kept)))}; nfs_remove_exports removes them")
    known = _keys(plan) | {it.key for it in _in_dropin(state)} | {(path, client) for _, path, client in state.elsewhere}
    known |= {(path, client) for path, client in state.own}
    paths, root = {export.path for export in plan.exports}, plan.settings.nfs_export_root
    undefined = [
        target(key)
        for key in sorted(force - known)
        if key[0] in paths or (lies_in(key[0], root) and ip_address(key[1]))
    ]
    if undefined:
        notes.append(f"in force, but defined by no file, and left alone: {some(undefined)}; exportfs -u ends them")
    return [*notes, *_moved_roots(plan, state)]


def some(names: Sequence[str]) -> str:
    """The first ten of some names, and how many more there are."""
    return ", ".join(map(printable, names[:10])) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def target(key: Key) -> str:
    """An export as exportfs(8) takes it in its arguments."""
    path, client = key
    return f"[{client}]:{path}" if ":" in client else f"{client}:{path}"


def matches(client: str, address: str) -> bool:
    """Whether a client of exports(5) may be this address. Names and netgroups may be anybody."""
    try:
        network = ipaddress.ip_network(client, strict=False)
    except ValueError:
        return True
    return ipaddress.ip_address(address) in network


def _keys(plan: ServerPlan) -> set[Key]:
    return {(export.path, export.client) for export in plan.exports}


def _in_dropin(state: ExportState) -> list[Kept]:
    return [Kept(*match.groups()) for match in _LINES.finditer(state.dropin or "")]


def _users(key: Key, plan: ServerPlan, state: ExportState) -> list[str]:
    """Clients that may have an export mounted, but for those to whom its directory stays exported."""
    path, client = key
    stay = {export.client for export in plan.exports if export.path == path}
    noted = {other for other_path, other in state.mounted if other_path == path and other == client}
    if state.clients is None:
        return sorted(noted) or ["clients that this kernel does not list"]
    return sorted(noted | {address for address in state.clients if matches(client, address) and address not in stay})


def _in_use(plan: ServerPlan, state: ExportState) -> Iterable[str]:
    """Exports that go, and that clients have mounted."""
    for key in removed_exports(plan, state):
        users = _users(key, plan, state)
        if users and key[0] not in plan.settings.nfs_remove_mounted_exports:
            yield (
                f"{key[0]} stays exported to {key[1]}: {some(users)} may have it mounted and would lose it. Unmount it "
                "there, or add the directory to nfs_remove_mounted_exports"
            )


def _shared_trees(plan: ServerPlan, state: ExportState) -> Iterable[str]:
    """Directories of this inventory's hosts that are those of others, or lie in one another."""
    places: defaultdict[str, list[Export | Kept]] = defaultdict(list)
    shared = _shared_paths(plan)
    # One of several hosts stands for all: each has the same directory.
    for export in {it.path: it for it in reversed(plan.exports)}.values():
        for path in {export.path, state.real.get(export.path, export.path)}:
            places[path].append(export)
    for it in kept_exports(plan, state):
        if it.path not in shared:
            places[it.path].append(it)
    pairs = {
        frozenset((one, other))
        for path, owners in places.items()
        for above in _with_parents(path)
        for one in owners
        for other in places.get(above, ())
        if one != other
    }
    return sorted(filter(None, (_shared(plan, state, *pair) for pair in pairs)))


def _shared_paths(plan: ServerPlan) -> set[str]:
    """Directories that several hosts of this inventory have, each with a tree of its own: one that left is no rival."""
    counts = Counter(export.path for export in plan.exports)
    return {path for path, number in counts.items() if number > 1}


def _with_parents(path: str) -> Iterable[str]:
    while path not in ("", "/"):
        yield path
        path = path.rpartition("/")[0]


def _shared(plan: ServerPlan, state: ExportState, one: Export | Kept, other: Export | Kept) -> str:
    """Why two exports cannot be side by side; nothing where one is what a host had under an address that it left."""
    ours = sorted((it for it in (one, other) if isinstance(it, Export)), key=lambda it: it.path)
    if len(ours) == 2:
        first, second = (f"{it.path} of {it.host} ({state.real.get(it.path, it.path)})" for it in ours)
        return f"{first} and {second} lie one inside the other on the server: put them side by side"
    theirs = [it for it in (one, other) if isinstance(it, Kept)]
    if not ours:
        return ""
    moved = (theirs[0].path, theirs[0].host) == (ours[0].path, ours[0].host)
    if moved and not _users(theirs[0].key, plan, state):
        return ""
    return (
        f"{ours[0].path} of {ours[0].host} is also exported as {theirs[0]}, by another inventory or to a host that "
        "left this one: set pods_export to another directory, or add that one to nfs_remove_exports"
    )


def _moved_roots(plan: ServerPlan, state: ExportState) -> Iterable[str]:
    """What another export with fsid=0 does to ours: it becomes the root of paths that NFSv4 clients mount."""
    for root, client in state.roots:
        hosts = [it for it in plan.exports if matches(client, it.client) and root != "/"]
        for export in hosts[:3]:
            real = state.real.get(export.path, export.path)
            now = f"sees it as {real[len(root) :] or '/'}" if lies_in(real, root) else "does not see it at all"
            yield (
                f"{root} is exported to {client} with fsid=0, which makes it the root for NFSv4: {export.host} cannot "
                f"mount {export.path} with NFSv4 and {now}; remove fsid=0 there, or set pods_nfs_version to '3'"
            )
