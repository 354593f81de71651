"""What cannot hold between machines: two hosts on one tree, one address twice, an export in two ways."""

import ipaddress
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from itertools import islice

from tasks.model.fleet.host_draft import HostDraft
from tasks.model.fleet.machine_addresses import addresses_of, endpoint, ssh_config
from tasks.model.fleet.mount_settings import of_managed_server, of_version
from tasks.model.fleet.near_names import Others, skeleton
from tasks.model.fleet.plan import HOSTS, SERVERS, Machine, Problem, Source
from tasks.model.fleet.server_draft import ServerDraft, known
from tasks.model.fleet.settings import LOCAL


def conflicts(servers: Sequence[ServerDraft], hosts: Sequence[HostDraft]) -> Iterator[Problem]:
    """Every problem that lies between machines. A machine takes part in as far as its own data is right."""
    yield from _trees(hosts)
    yield from _owners(hosts)
    yield from _addresses(servers, hosts)
    for host in hosts:
        yield from _with_server(host)


def _trees(hosts: Sequence[HostDraft]) -> Iterator[Problem]:
    exports: defaultdict[str, _Places] = defaultdict(lambda: _Places(same=False))
    trees: defaultdict[Source, _Places] = defaultdict(lambda: _Places(same=True))
    for host in hosts:
        if source := known(host, lambda host: host.source):
            exports[source.address].add(host.name, (source.path,))
            if own := known(host, lambda host: host.trees):
                trees[source].add(host.name, own)
    for places in trees.values():
        for name, others in places.overlaps():
            text = f"shares its session tree with {others}; give each host its own directory"
            yield Problem(name, "pods_export", text, "tree-of-two-hosts")
    for places in exports.values():
        for name, others in places.overlaps():
            text = f"this directory lies inside that of {others}, or contains it; put them side by side"
            yield Problem(name, "pods_export", text, "export-in-export")


class _Places:
    """Directories of one file system, and their owners. Those with the same directories are compared as one.

    + same: whether a directory that two have counts, or only one inside another
    """

    def __init__(self, *, same: bool) -> None:
        self._same = same
        self._names: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)

    def add(self, name: str, paths: tuple[str, ...]) -> None:
        """Notes the directories of one owner."""
        self._names[paths].append(name)

    def overlaps(self) -> Iterator[tuple[str, str]]:
        """Each owner with a directory inside another's, or that is another's, with who the others are in words."""
        holders: defaultdict[str, list[tuple[str, ...]]] = defaultdict(list)
        for paths in self._names:
            for path in paths:
                holders[path].append(paths)
        met: defaultdict[tuple[str, ...], set[tuple[str, ...]]] = defaultdict(set)
        for paths in self._names:
            for path in paths:
                parts = path.split("/")
                for length in range(2, len(parts) + self._same):
                    for other in holders.get("/".join(parts[:length]), ()):
                        if other != paths:
                            met[paths].add(other)
                            met[other].add(paths)
        for paths, names in self._names.items():
            groups = [*(self._names[other] for other in met[paths]), *([names] if self._same else [])]
            if len(groups) > self._same or (len(names) > 1 and self._same):
                others = Others(name for group in groups for name in group)
                yield from ((name, others.than(name)) for name in names)


def _owners(hosts: Sequence[HostDraft]) -> Iterator[Problem]:
    """A directory that is exported to several hosts has one owner."""
    owners: defaultdict[Source, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for host in hosts:
        plan = known(host, HostDraft.plan)
        if plan and plan.source and plan.server:
            guard = "chowned by a guard" if plan.strategy.needs_guard else "without a guard"
            owners[plan.source][f"{plan.stored_agent}, {guard}"].append(host.name)
    for source, kinds in owners.items():
        if len(kinds) == 1:
            continue
        ordered = sorted((name, owner) for owner, names in kinds.items() for name in names)
        for owner, names in kinds.items():
            first = [name for name, other in islice((pair for pair in ordered if pair[1] != owner), Others.SHOWN)]
            more = len(ordered) - len(names) - len(first)
            others = ", ".join(first) + (f" and {more} more" if more else "")
            text = (
                f"{source.path} would hold sessions of agent {owner}, and others for {others}; "
                "give each its own directory"
            )
            yield from (Problem(name, "pods_export", text, "export-of-two-owners") for name in names)


ADDRESSES = ("nfs_address", "pods_address")


def _addresses(servers: Sequence[ServerDraft], hosts: Sequence[HostDraft]) -> Iterator[Problem]:
    machines: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for server in servers:
        if address := known(server, lambda server: server.address):
            machines[address].append((server.name, "nfs_address"))
    for host in hosts:
        if address := known(host, lambda host: host.address):
            machines[address].append((host.name, "pods_address"))
    for address, holders in machines.items():
        if len(holders) > 1:
            others = Others(name for name, _key in holders)
            for name, key in holders:
                text = f"{address} is also the address of {others.than(name)}; set it to this machine's own"
                yield Problem(name, key, text, "address-twice")


def identities(machines: Sequence[Machine], reported: Collection[str]) -> Iterator[Problem]:
    """Machines that are one machine by another name, and a server with a name that means something else.

    + reported: those of which it is said already that their address is another's
    """
    ours = [machine for machine in machines if {SERVERS, HOSTS} & set(machine.groups)]
    places: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    gateways = {machine.name: ssh_config(machine) for machine in ours}
    for machine in ours:
        places[endpoint(machine)].append(machine.name)
        for address in addresses_of(machine):
            places[address,].append(machine.name)
        if SERVERS in machine.groups and skeleton(machine.name) == LOCAL:
            text = f'pods_server "{LOCAL}" means the disk of the host; give this server another name'
            yield Problem(machine.name, "name", text, "server-named-local")
    for place, names in places.items():
        if len(set(names)) > 1:
            others = Others(names)
            for name in sorted(set(names) - set(reported)):
                text = f"{place[0]} is also {others.than(name)}: one machine under two names; keep one of them"
                if len({gateways[name] for name in names}) > 1:
                    text += ". If these are two sites with the same private addresses, give each its own inventory"
                yield Problem(name, "ssh_hostname", text, "machine-twice")


def _with_server(host: HostDraft) -> Iterator[Problem]:
    server = known(host, lambda host: host.server)
    yield from _mount_options(host, managed=server is not None)
    if server is None:
        return
    ours, theirs = known(host, lambda host: host.address), known(server, lambda server: server.address)
    if ours and theirs and ipaddress.ip_address(ours).version != ipaddress.ip_address(theirs).version:
        text = (
            f"{ours} cannot reach {theirs}, the nfs_address of {server.name}: one is IPv4, the other IPv6; set both to "
            "addresses of one family"
        )
        yield Problem(host.name, "pods_address", text, "address-of-other-kind")
    version = known(host, lambda host: host.settings.pods_nfs_version)
    serves = known(server, lambda server: server.settings.nfs_v3)
    if version == "3" and serves is False:
        text = f"{server.name} serves NFSv4 only; set nfs_v3 there, or use '4.2'"
        yield Problem(host.name, "pods_nfs_version", text, "server-without-v3")


def _mount_options(host: HostDraft, *, managed: bool) -> Iterator[Problem]:
    version = known(host, lambda host: host.settings.pods_nfs_version)
    for key in ("pods_mount_options", "pods_mount_options_unchecked"):
        for option in known(host, lambda host: getattr(host.settings, key)) or ():  # noqa: B023  called at once
            why, reason = of_managed_server(option) if managed else None, "mount-option-of-managed-server"
            if why is None and version:
                why, reason = of_version(option, version), "mount-option-of-other-version"
            if why:
                yield Problem(host.name, key, f"{option!r} is refused: {why}; leave it out", reason)
