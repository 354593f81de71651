"""IP addresses of machines, each in its one canonical form."""

import ipaddress
from typing import Any

from tasks.model.problem import WrongValueError


def machine_address(value: Any) -> str:
    """The canonical form of an address that other machines reach one machine at; else a WrongValueError."""
    accepts = "one IP address, such as 10.0.0.11 or fd00::11"
    if not isinstance(value, str):
        raise WrongValueError("address-no-text", f"{accepts}; as text, in quotes")
    if value == "*" or "/" in value:
        raise WrongValueError(
            "address-is-network", f"{accepts}; no network and no *: every machine in it could act as any agent"
        )
    address = ip_address(value)
    if address is None:
        raise WrongValueError(
            "address-is-name", f"{accepts}; no name: exportfs drops one that it cannot look up, and says nothing"
        )
    parsed = ipaddress.ip_address(address)
    if parsed.is_unspecified or parsed.is_multicast or address == "255.255.255.255":
        raise WrongValueError("address-of-no-machine", f"{accepts}, that belongs to one machine")
    if parsed.is_loopback:
        raise WrongValueError(
            "address-is-loopback", f"{accepts}, that other machines can reach; this one means each machine itself"
        )
    if parsed.version == 6 and parsed.is_link_local:
        raise WrongValueError(
            "address-is-link-local", f"{accepts}; a link-local one is not enough without a network interface"
        )
    return address


def ip_address(text: str) -> str | None:
    """`text` as an IP address in its one canonical form, or None if it is none."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return None if "%" in str(address) else str(address)


def usable_address(text: str) -> str | None:
    """`text` as an address that a setting of type Address accepts, or None."""
    try:
        return machine_address(text)
    except ValueError:
        return None
