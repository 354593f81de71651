"""Directories that are there already: which are the role's, and which are somebody else's and stay so.

A directory that holds something, and that no earlier run left, is exported or given away only where the operator
says so (pods_adopt). An earlier run is known by the role's export table, its mount units, and NanoClaw's own names.
"""

from collections.abc import Iterable, Iterator, Mapping

from files.pods.machine.machine_state import Places
from files.pods.machine.protocol import PlacesRequest
from tasks.model.fleet.plan import BOUND, FleetPlan, HostPlan, Problem, ServerPlan, lies_in
from tasks.model.fleet.settings import AUTO
from tasks.model.fleet.system_paths import in_system, is_shared
from tasks.model.nfs.mount_unit import unit_path

_NEUTRAL = frozenset({"lost+found", ".snapshot", ".snapshots", ".zfs"})
"""What file systems make themselves."""
_OF_NANOCLAW = frozenset({".pnpm-store", *BOUND})
"""What NanoClaw leaves beside its project root; pnpm keeps its store at the root of the project's file system."""
_SESSIONS, _GROUPS = BOUND


def host_places_request(plan: HostPlan) -> PlacesRequest:
    """What a host is asked about its places."""
    paths = [plan.root, *_trees(plan)]
    marks = {unit_path(target): f"What={source}\n" for source, target in plan.binds} if plan.source is None else {}
    enter = [] if plan.host_ids.uid == 0 else [plan.root, plan.settings.pods_path]
    return PlacesRequest(sorted({plan.settings.pods_path, *paths}), marks, enter)


def server_places_request(plan: ServerPlan, hosts: Mapping[str, HostPlan]) -> PlacesRequest:
    """What a server is asked about its places: each export, and the project root in it."""
    roots = [f"{export.path}{_root_in(hosts[export.host])}" for export in plan.exports if export.holds_root]
    return PlacesRequest(sorted({*(export.path for export in plan.exports), *roots}), {}, [])


def host_problems(plan: HostPlan, places: Places, barred: Mapping[str, str]) -> Iterator[Problem]:
    """What a host is refused for: real places of the system, directories of others, ways that are barred."""
    keys = {plan.root: "nanoclaw_root", plan.settings.pods_path: "pods_path"}
    for path, key in keys.items():
        yield from _real(plan.name, key, path, places)
    for path, above in barred.items():
        text = (
            f"{plan.settings.nanoclaw_user} cannot enter {above}, and NanoClaw needs what lies below it: let that user "
            f"in (chmod o+x {above}), or set {keys.get(path, 'pods_path')} to another directory"
        )
        yield Problem(plan.name, keys.get(path, "pods_path"), text, "path-barred")
    if {_SESSIONS, _GROUPS} <= set(_names(places, plan.settings.pods_path)):
        return  # NanoClaw's own directories, from before this machine's system
    for source, target in plan.binds if plan.source is None else ():
        names = _names(places, source)
        if names and unit_path(target) not in places.marked and source not in plan.settings.pods_adopt:
            yield _others(plan.name, "pods_path", source, names, "would become the agent's")


def server_problems(
    server: ServerPlan, hosts: Mapping[str, HostPlan], places: Places, dropin: str | None
) -> Iterator[Problem]:
    """Exports that a server is refused: real places of the system, and directories of others."""
    before = {line.split()[0] for line in (dropin or "").splitlines() if line.startswith("/")}
    for export in server.exports:
        host = hosts[export.host]
        yield from _real(export.host, "pods_export", export.path, places)
        names = _names(places, export.path)
        if not names or export.path in before or export.path in host.settings.pods_adopt:
            continue
        if not _is_ours(names, host, _names(places, f"{export.path}{_root_in(host)}") if export.holds_root else []):
            yield _others(export.host, "pods_export", f"{server.name}:{export.path}", names, "would be exported")


def one_machine(identities: Mapping[str, str]) -> Iterator[Problem]:
    """Machines that answer as one and the same."""
    names: dict[str, list[str]] = {}
    for name, identity in identities.items():
        if identity:
            names.setdefault(identity, []).append(name)
    for group in names.values():
        for name in group if len(group) > 1 else ():
            others = ", ".join(other for other in group if other != name)
            text = f"is the same machine as {others}: one machine has one name and one role; keep one of them"
            yield Problem(name, "machine", text, "one-machine-twice")


def own_addresses(fleet: FleetPlan, addresses: Mapping[str, Iterable[str]]) -> Iterator[Problem]:
    """Hosts that would mount from themselves, from another host, or from a managed server as if it were another's."""
    holders = {address: name for name, its in addresses.items() for address in its}
    for name, its in addresses.items():
        plan = fleet.hosts.get(name)
        if plan is None or plan.source is None:
            continue
        address = plan.source.address
        holder = name if address in set(its) else holders.get(address)
        if holder == name or (plan.server is None and holder in fleet.hosts):
            holder_text = "this machine's own address" if holder == name else f"an address of {holder}, a host"
            text = f'{address} is {holder_text}; name the NFS server, or "local" for a local disk'
            yield Problem(name, "pods_server", text, "address-of-host")
        elif plan.server is None and holder in fleet.servers:
            text = f"{address} is an address of {holder}; set it to {holder}"
            yield Problem(name, "pods_server", text, "address-of-server")


def _trees(plan: HostPlan) -> list[str]:
    """Directories that a host with local pods gives to the agent beside its project root."""
    return [source for source, _target in plan.binds] if plan.source is None else []


def _root_in(host: HostPlan) -> str:
    return host.root.removeprefix(host.settings.pods_path) if host.root_on_pods else ""


def _names(places: Places, path: str) -> list[str]:
    place = places.paths.get(path)
    return [name for name in (place.names if place else None) or () if name not in _NEUTRAL]


def _is_ours(names: list[str], host: HostPlan, root: list[str]) -> bool:
    """Whether an export holds what NanoClaw keeps there, and nothing else."""
    v1, pods = host.settings.nanoclaw_v1_dir or "", host.settings.pods_path
    of_v1 = {"nanoclaw"} if v1 == AUTO else {v1.removeprefix(f"{pods}/").split("/")[0]} if lies_in(v1, pods) else set()
    if host.root_on_pods:
        return set(names) <= {_root_in(host).split("/")[1], *_OF_NANOCLAW, *of_v1} and (not root or ".git" in root)
    return set(names) <= _OF_NANOCLAW | of_v1 and bool({_SESSIONS, *of_v1} & set(names))


def _real(machine: str, key: str, path: str, places: Places) -> Iterator[Problem]:
    place = places.paths.get(path)
    if place and place.real != path and (in_system(place.real) or is_shared(place.real)):
        text = f"{path} is really {place.real}, which belongs to the system or to others; use another directory"
        yield Problem(machine, key, text, "link-to-system")


def _others(machine: str, key: str, path: str, names: list[str], what: str) -> Problem:
    shown = ", ".join(ascii(name)[1:-1] for name in names[:3])
    bare = path.rpartition(":")[2]
    text = (
        f"{path} {what}, but it holds {shown} and no earlier run made it: use another directory, or add {bare} to "
        "pods_adopt to allow that"
    )
    return Problem(machine, key, text, "directory-of-others")
