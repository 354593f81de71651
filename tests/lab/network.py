"""A lab's network: a bridge with the gateway's address, a tap for each machine, and NAT to the outside."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tests.lab.errors import LabError
from tests.lab.paths import RUNTIME, locked
from tests.lab.shell import call

SUBNETS = range(0, 250)
NET = Path("/sys/class/net")


@dataclass(frozen=True)
class Subnet:
    """The addresses and interface names that belong to one lab, all derived from its number."""

    index: int

    @property
    def bridge(self) -> str:
        """The bridge's name, which is also the name of the lab's nftables table."""
        return f"ncp{self.index}"

    @property
    def cidr(self) -> str:
        """The whole network."""
        return f"10.99.{self.index}.0/24"

    @property
    def gateway(self) -> str:
        """The controller's address in it."""
        return self.address(1)

    def address(self, number: int) -> str:
        """The address with this last number."""
        return f"10.99.{self.index}.{number}"

    def tap(self, number: int) -> str:
        """The name of the controller's end of a machine's cable."""
        return f"{self.bridge}m{number}"

    def hardware_address(self, number: int) -> str:
        """A machine's MAC address: constant, so that its peers reach it again after a crash."""
        return f"52:54:00:63:{self.index:02x}:{number:02x}"


def choose(preferred: int | None, owner: str, taken: dict[int, str], lowest: int = 0) -> int:
    """Return the number of a lab's network: its own if it is free, else the first free one from `lowest`."""
    for index, other in taken.items():
        if other == owner:
            return index
    if preferred is not None and preferred not in taken:
        return preferred
    for index in SUBNETS:
        if index >= lowest and index not in taken:
            return index
    raise LabError("all 250 lab networks are in use: take a lab down first")


def abandoned(taken: dict[int, str]) -> list[int]:
    """Return the networks of running labs with a deleted checkout, since nobody else can end them."""
    return [index for index, owner in taken.items() if owner and not Path(owner).exists()]


def claim(owner: str, preferred: int | None) -> Subnet:
    """Reserve a network for the lab with the state folder `owner`, and make its bridge.

    A bridge that exists is what makes a number taken: it goes with the machine's reboot, as labs do. Number 0 is kept
    for a lab called default: tests/lab/inventory.py lists its addresses.
    """
    default = Path(owner).name == "default"
    with locked(RUNTIME / "subnets.lock"):
        path = RUNTIME / "subnets.json"
        known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        taken = {n: known.get(str(n), "") for n in SUBNETS if (NET / Subnet(n).bridge).exists()}
        for index in abandoned(taken):
            lower_network(Subnet(index))
            del taken[index]
        subnet = Subnet(choose(0 if default else preferred, owner, taken, lowest=0 if default else 1))
        if not (NET / subnet.bridge).exists():
            call(["ip", "link", "add", subnet.bridge, "type", "bridge", "forward_delay", "0"])
        known[str(subnet.index)] = owner
        path.write_text(json.dumps(known))
    return subnet


def raise_network(subnet: Subnet) -> None:
    """Set the address of the bridge and let machines reach the outside. A second call changes nothing."""
    call(["ip", "address", "replace", f"{subnet.gateway}/24", "dev", subnet.bridge])
    call(["ip", "link", "set", subnet.bridge, "up"])
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n")
    # Declared, deleted and made again in one transaction: that is how nftables spells "replace".
    call(
        ["nft", "-f", "-"],
        stdin=f"""
        table ip {subnet.bridge}
        delete table ip {subnet.bridge}
        table ip {subnet.bridge} {{
            chain postrouting {{
                type nat hook postrouting priority srcnat
                ip saddr {subnet.cidr} oifname != "{subnet.bridge}" masquerade
            }}
            chain forward {{
                type filter hook forward priority filter - 5
                iifname "{subnet.bridge}" tcp flags syn tcp option maxseg size set rt mtu
            }}
        }}
    """,
    )


def lower_network(subnet: Subnet) -> None:
    """Remove the network of the lab, with all its taps."""
    for path in NET.glob(f"{subnet.bridge}m*"):
        call(["ip", "link", "delete", path.name], check=False)
    call(["nft", "delete", "table", "ip", subnet.bridge], check=False)
    call(["ip", "link", "delete", subnet.bridge], check=False)


def plug_in(subnet: Subnet, number: int) -> None:
    """Create a machine's tap if needed and connect it to the bridge."""
    tap = subnet.tap(number)
    if not (NET / tap).exists():
        call(["ip", "tuntap", "add", "dev", tap, "mode", "tap"])
    call(["ip", "link", "set", tap, "master", subnet.bridge, "up"])


def unplug(subnet: Subnet, number: int) -> None:
    """Take a machine off the bridge. Its link stays up, but no packet arrives, as behind a broken switch."""
    call(["ip", "link", "set", subnet.tap(number), "nomaster"])


def name_servers() -> list[str]:
    """Return the name servers for machines: the controller's, unless only the controller can reach these."""
    for path in (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")):
        if not path.is_file():
            continue
        fields = [line.split() for line in path.read_text().splitlines()]
        servers = [word[1] for word in fields if len(word) > 1 and word[0] == "nameserver"]
        usable = [address for address in servers if not address.startswith("127.") and ":" not in address]
        if usable:
            return usable
    return []
