"""Which machine a name or an address means: every spelling of one machine is that machine.

Addresses of a machine are its name and its ssh_hostname, where these are addresses, and those that its settings state.
"""

import ipaddress
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cached_property

from tasks.model.fleet.addresses import ip_address
from tasks.model.fleet.near_names import Names
from tasks.model.fleet.plan import HOSTS, SERVERS, Machine
from tasks.model.fleet.show_value import limited

_STATED = {SERVERS: "nfs_address", HOSTS: "pods_address"}
_LOCALHOST = ("localhost", "127.0.0.1")
_SHOWN = 5
_NUMBER = re.compile(r"0x[0-9a-f]{1,8}|0[0-7]*|[1-9][0-9]{0,9}")


def addresses_of(machine: Machine) -> frozenset[str]:
    """Every address that host data gives a machine, in canonical form; behind another port than ssh's, only its own."""
    stated = [machine.data.get(key) for group, key in _STATED.items() if group in machine.groups]
    if _port(machine) == "22":
        stated += [machine.name, machine.data.get("ssh_hostname")]
    addresses = (canonical(text) for text in stated if isinstance(text, str))
    return frozenset(address for address in addresses if address and not address.startswith("127."))


def canonical(text: str) -> str | None:
    """An address in its one form, also as inet_aton(3) takes it: 10.11, 0x0a00000b, 012.0.0.11. None for a name."""
    if address := ip_address(text):
        return address
    return _as_inet_aton(text.lower())


def _as_inet_aton(text: str) -> str | None:
    """An IPv4 address in an old form: fewer parts, octal or hexadecimal ones."""
    parts = text.split(".")
    if len(parts) > 4 or len(text) > 40 or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    numbers = [int(part, 16 if part.startswith("0x") else 8 if part.startswith("0") else 10) for part in parts]
    limits = [256] * (len(parts) - 1) + [256 ** (5 - len(parts))]
    if any(number >= limit for number, limit in zip(numbers, limits, strict=True)):
        return None
    shifts = (24, 16, 8)
    value = sum(number << shift for number, shift in zip(numbers[:-1], shifts, strict=False)) + numbers[-1]
    return str(ipaddress.IPv4Address(value))


def endpoint(machine: Machine) -> tuple[str, ...]:
    """Where commands for a machine go, so that two machines with one endpoint are one machine."""
    connector, _, rest = machine.name[1:].partition("/") if machine.name.startswith("@") else ("ssh", "", machine.name)
    if connector == "local":
        return (_LOCALHOST[1], "22", "''")
    if connector != "ssh":
        return (machine.name,)
    stated = machine.data.get("ssh_hostname")
    name = (stated if isinstance(stated, str) and stated else rest).rstrip(".").casefold()
    address = _LOCALHOST[1] if name in _LOCALHOST or name.startswith("127.") else canonical(name)
    return (address or name, _port(machine), ssh_config(machine))


def ssh_config(machine: Machine) -> str:
    """The file that says by which gateway ssh goes (ssh_config(5), ProxyJump): a name may mean another machine by
    another file. An address may not, for servers and hosts reach each other by it, and no gateway is between them."""
    return limited(machine.data.get("ssh_config_file") or "")


def _port(machine: Machine) -> str:
    return limited(machine.data.get("ssh_port") or 22).strip("'")


class Directory:
    """The machines of an inventory, by name and by address."""

    def __init__(self, machines: list[Machine]) -> None:
        self.servers = [machine.name for machine in machines if SERVERS in machine.groups]
        self.hosts = frozenset(machine.name for machine in machines if HOSTS in machine.groups)
        self._server_names = frozenset(self.servers)
        by_address: defaultdict[str, list[str]] = defaultdict(list)
        for machine in machines:
            if {SERVERS, HOSTS} & set(machine.groups):
                for address in addresses_of(machine):
                    by_address[address].append(machine.name)
        self._by_address: Mapping[str, list[str]] = by_address
        self.unaddressed: tuple[str, ...] = ()
        """Machines of nfs_servers of which it is not known where they are mounted from."""

    def at(self, address: str) -> Iterator[str]:
        """The machines that have an address."""
        yield from self._by_address.get(address, ())

    def server_at(self, address: str) -> str | None:
        """The machine of nfs_servers that has an address."""
        return next((name for name in self.at(address) if name in self._server_names), None)

    def host_at(self, address: str) -> str | None:
        """The machine of nanoclaw_hosts that has an address."""
        return next((name for name in self.at(address) if name in self.hosts), None)

    @cached_property
    def servers_shown(self) -> str:
        """The machines of nfs_servers in words; of many, the first."""
        listed = sorted(self.servers)
        more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
        return ", ".join(listed[:_SHOWN]) + more

    @cached_property
    def names(self) -> Names:
        """Names that pods_server may have."""
        return Names([*self.servers, "local"])
