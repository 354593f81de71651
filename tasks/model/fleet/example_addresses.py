"""Addresses that only examples have (RFC 5737, RFC 3849)."""

import ipaddress
from collections.abc import Iterable

from tasks.model.fleet.plan import Machine, Problem

_DOCUMENTATION = [
    ipaddress.ip_network(text) for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]


def example_problems(machines: Iterable[Machine]) -> list[Problem]:
    """Each machine that the inventory would have pyinfra reach at an address of an example."""
    return [
        Problem(
            machine.name,
            "ssh_hostname",
            f"{address} is an address for examples: write your own machines into the inventory (README.md, A fleet in "
            "ten lines)",
            "example-address",
        )
        for machine in machines
        if _is_example(address := str(machine.data.get("ssh_hostname") or machine.name))
    ]


def _is_example(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return any(address in network for network in _DOCUMENTATION)
