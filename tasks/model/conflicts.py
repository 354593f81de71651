"""What cannot hold between machines: two hosts on one tree, one address twice, an export in two ways."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from tasks.model.draft import HostDraft, ServerDraft, known
from tasks.model.plan import Problem, Source


def conflicts(servers: Sequence[ServerDraft], hosts: Sequence[HostDraft]) -> Iterator[Problem]:
    """Every problem that lies between machines. A machine takes part in as far as its own data is right."""
    yield from _trees(hosts)
    yield from _owners(hosts)
    yield from _addresses(servers, hosts)
    for host in hosts:
        yield from _with_server(host)


def _trees(hosts: Sequence[HostDraft]) -> Iterator[Problem]:
    exports: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    trees: defaultdict[Source, list[tuple[str, str]]] = defaultdict(list)
    for host in hosts:
        if source := known(host, lambda host: host.source):
            exports[source.address].append((host.name, source.path))
            trees[source] += [(host.name, tree) for tree in known(host, lambda host: host.trees) or ()]
    for places in trees.values():
        for name, others in _overlaps(places, same=True).items():
            text = f"shares its session tree with {_names(others)}; give each host its own directory"
            yield Problem(name, "pods_export", text)
    for places in exports.values():
        for name, others in _overlaps(places, same=False).items():
            text = f"this directory and that of {_names(others)} lie in one another; put them side by side"
            yield Problem(name, "pods_export", text)


def _overlaps(places: list[tuple[str, str]], *, same: bool) -> dict[str, set[str]]:
    """Which owners of (owner, path) hold a path inside another's, or (`same`) the same one."""
    owners: defaultdict[str, set[str]] = defaultdict(set)
    for owner, path in places:
        owners[path].add(owner)
    found: defaultdict[str, set[str]] = defaultdict(set)
    for owner, path in places:
        parts = path.split("/")
        for length in range(2, len(parts) + same):
            for other in owners.get("/".join(parts[:length]), set()) - {owner}:
                found[owner].add(other)
                found[other].add(owner)
    return found


def _names(names: Iterable[str]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
    return ", ".join(listed[:5]) + more


def _owners(hosts: Sequence[HostDraft]) -> Iterator[Problem]:
    """A directory that is exported to several hosts has one owner."""
    wanted: defaultdict[Source, dict[str, str]] = defaultdict(dict)
    for host in hosts:
        plan = known(host, HostDraft.plan)
        if plan and plan.source and plan.server:
            given = "given by their host" if plan.access.access == "chown" else "of the server's making"
            wanted[plan.source][host.name] = f"{plan.stored_agent}, {given}"
    for source, owners in wanted.items():
        for name in owners if len(set(owners.values())) > 1 else ():
            others = _names(other for other in owners if owners[other] != owners[name])
            text = (
                f"{source.path} would hold sessions of agent {owners[name]}, and others for {others}; "
                "give each its own directory"
            )
            yield Problem(name, "pods_export", text)


def _addresses(servers: Sequence[ServerDraft], hosts: Sequence[HostDraft]) -> Iterator[Problem]:
    machines: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for server in servers:
        if address := known(server, lambda server: server.address):
            machines[address].append((server.name, "nfs_address"))
    for host in hosts:
        if address := known(host, lambda host: host.address):
            machines[address].append((host.name, "pods_address"))
    for address, holders in machines.items():
        for name, key in holders if len(holders) > 1 else ():
            others = _names(other for other, _key in holders if other != name)
            yield Problem(name, key, f"{address} is also the address of {others}; set it to this machine's own")


def _with_server(host: HostDraft) -> Iterator[Problem]:
    server = known(host, lambda host: host.server)
    if server is None:
        return
    ours, theirs = known(host, lambda host: host.address), known(server, lambda server: server.address)
    if ours and theirs and ipaddress.ip_address(ours).version != ipaddress.ip_address(theirs).version:
        text = (
            f"{ours} is never seen by {server.name}, which is mounted from {theirs}; both need an address of one kind"
        )
        yield Problem(host.name, "pods_address", text)
    version = known(host, lambda host: host.settings.pods_nfs_version)
    serves = known(server, lambda server: server.settings.nfs_v3)
    if version == "3" and serves is False:
        yield Problem(host.name, "pods_nfs_version", f"{server.name} serves NFSv4 only; set nfs_v3 there, or use '4.2'")
