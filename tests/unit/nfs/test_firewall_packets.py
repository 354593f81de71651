"""The nft rules, proved with packets: containers reach no NFS, the machine itself does, and nothing else is kept out.

Machines as network namespaces: a container on each bridge, the host that forwards, the NFS server with two addresses.
Required in CI: there a kernel without nf_tables, or a run that is not root, fails instead of being skipped.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product

import pytest

from tasks.model.nfs.container_firewall import rules_text

CATCH = """
import selectors, socket, sys
heard = selectors.DefaultSelector()
for address in sys.argv[1].split(","):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for port in map(int, sys.argv[2:]):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            it = socket.socket(family, kind)
            it.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            it.bind((address, port))
            if kind == socket.SOCK_STREAM:
                it.listen(64)
            heard.register(it, selectors.EVENT_READ, kind)
print("ready", flush=True)
while True:
    for key, _ in heard.select():
        if key.data == socket.SOCK_STREAM:
            key.fileobj.accept()[0].close()
        else:
            data, who = key.fileobj.recvfrom(100)
            key.fileobj.sendto(data, who)
"""

REACH = """
import socket, sys
kind, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
it = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
it.settimeout(float(sys.argv[4]))
try:
    it.connect((address, port))
    if kind == "udp":
        it.send(b"x")
        it.recv(10)
except OSError:
    sys.exit(1)
"""

PORTS = (2049, 111, 80, 3049)
"""NFS, rpcbind, something else, and a port that the host forwards to NFS (DNAT)."""


@dataclass(frozen=True)
class Net:
    """Three namespaces, and addresses of the second kind of each in IPv6."""

    name: str

    def run(self, where: str, *args: str, stdin: str = "") -> int:
        """The status of a command in one of the namespaces."""
        argv = ["ip", "netns", "exec", f"{self.name}{where}", *args]
        return subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=30).returncode

    def succeed(self, where: str, *args: str, stdin: str = "") -> None:
        argv = ["ip", "netns", "exec", f"{self.name}{where}", *args]
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, (args, done.stderr)

    def reaches(self, where: str, kind: str, address: str, port: int, seconds: float = 5) -> bool:
        return self.run(where, sys.executable, "-I", "-c", REACH, kind, address, str(port), str(seconds)) == 0

    def is_kept(self, where: str, kind: str, address: str, port: int) -> bool:
        return not self.reaches(where, kind, address, port, 0.4)

    def reached(self, targets: Iterable[tuple[str, str, str, int]]) -> list[tuple[str, str, str, int]]:
        """Those that are not kept from their container: several at once, since each is waited for."""
        with ThreadPoolExecutor(8) as pool:
            return [each for each, kept in pool.map(lambda each: (each, self.is_kept(*each)), targets) if not kept]


SERVER, OTHER = {4: "10.9.2.1", 6: "fd09:2::1"}, {4: "10.9.2.9", 6: "fd09:2::9"}
"""The address that the pods are mounted from, and another one of the same server."""

HOST = {4: "10.9.2.2", 6: "fd09:2::2"}
BRIDGES = ("docker0", "br-0123456789ab", "named0")
"""Docker's own, one of a network, and one with a name that somebody gave it."""


def _can() -> bool:
    probe = ["unshare", "--net", "nft", "add", "table", "inet", "t"]
    try:
        return os.geteuid() == 0 and subprocess.run(probe, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def net() -> Iterator[Net]:
    """The host forwards between three bridges, with a container on each, and the server."""
    if not _can():
        pytest.skip("needs root, nft, and a kernel with nf_tables for inet")
    it = Net(f"pods{secrets.token_hex(3)}")
    names = [f"{it.name}{where}" for where in ("h", "s", "0", "1", "2")]
    catcher: subprocess.Popen[str] | None = None
    try:
        for name in names:
            subprocess.run(["ip", "netns", "add", name], check=True)
        for name in names:
            subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        link = ["ip", "-n", f"{it.name}h", "link"]
        subprocess.run(
            [*link, "add", "uplink", "type", "veth", "peer", "name", "eth0", "netns", f"{it.name}s"], check=True
        )
        addresses = [("h", "uplink", HOST[4] + "/24", HOST[6] + "/64")]
        addresses += [("s", "eth0", f"{each[4]}/24", f"{each[6]}/64") for each in (SERVER, OTHER)]
        for number, bridge in enumerate(BRIDGES):
            subprocess.run([*link, "add", bridge, "type", "bridge"], check=True)
            peer = ["peer", "name", "eth0", "netns", f"{it.name}{number}"]
            subprocess.run([*link, "add", f"v{number}", "type", "veth", *peer], check=True)
            subprocess.run([*link, "set", f"v{number}", "master", bridge, "up"], check=True)
            addresses.append(("h", bridge, f"10.9.1{number}.1/24", f"fd09:1{number}::1/64"))
            addresses.append((str(number), "eth0", f"10.9.1{number}.2/24", f"fd09:1{number}::2/64"))
        for where, device, four, six in addresses:
            at = ["ip", "-n", f"{it.name}{where}"]
            subprocess.run([*at, "addr", "add", four, "dev", device], check=True)
            subprocess.run([*at, "addr", "add", six, "dev", device, "nodad"], check=True)
            subprocess.run([*at, "link", "set", device, "up"], check=True)
        for where, four, six in [
            ("s", HOST[4], HOST[6]),
            *((str(number), f"10.9.1{number}.1", f"fd09:1{number}::1") for number in range(len(BRIDGES))),
        ]:
            subprocess.run(["ip", "-n", f"{it.name}{where}", "route", "add", "default", "via", four], check=True)
            subprocess.run(["ip", "-n", f"{it.name}{where}", "-6", "route", "add", "default", "via", six], check=True)
        forward = "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding"
        it.succeed("h", "sh", "-c", forward)
        dnat = "".join(
            f"tcp dport 3049 {family} daddr 10.9.2.2 dnat ip to {SERVER[4]}:2049\n"
            if family == "ip"
            else f"tcp dport 3049 {family} daddr {HOST[6]} dnat ip6 to [{SERVER[6]}]:2049\n"
            for family in ("ip", "ip6")
        )
        chain = "type nat hook prerouting priority dstnat;"
        it.succeed("h", "nft", "-f", "-", stdin=f"table inet nat {{ chain pre {{\n{chain}\n{dnat}}}\n}}\n")
        argv = [
            sys.executable,
            "-I",
            "-c",
            CATCH,
            ",".join([*SERVER.values(), *OTHER.values()]),
            *(str(port) for port in PORTS),
        ]
        catcher = subprocess.Popen(["ip", "netns", "exec", f"{it.name}s", *argv], stdout=subprocess.PIPE, text=True)
        assert catcher.stdout and catcher.stdout.readline() == "ready\n"
        yield it
    finally:
        if catcher:
            catcher.kill()
            catcher.wait()
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


@pytest.fixture(params=[4, 6], ids=["IPv4", "IPv6"])
def fenced(net: Net, request: pytest.FixtureRequest) -> Iterator[tuple[Net, int]]:
    """The rules for a server that is mounted by one family, as the role writes them."""
    net.run("h", "nft", "delete", "table", "inet", "nanoclaw_pods")
    version: int = request.param
    net.succeed("h", "nft", "-f", "-", stdin=rules_text("nft", SERVER[version]))
    yield net, version
    net.run("h", "nft", "delete", "table", "inet", "nanoclaw_pods")


def test_without_the_rules_a_container_reaches_nfs(net: Net) -> None:
    """Else the tests below would hold of nothing."""
    net.run("h", "nft", "delete", "table", "inet", "nanoclaw_pods")
    for version in (4, 6):
        for address in (SERVER[version], OTHER[version]):
            for kind in ("tcp", "udp"):
                assert net.reaches("0", kind, address, 2049), (kind, address)
        assert net.reaches("0", "tcp", HOST[version], 3049), "DNAT"


def test_no_container_reaches_the_server_that_the_pods_are_mounted_from(fenced: tuple[Net, int]) -> None:
    """By no port, from no bridge, whatever it is called."""
    net, version = fenced
    ports = (("tcp", 2049), ("udp", 111), ("tcp", 80))
    assert net.reached((each, kind, SERVER[version], port) for each in ("0", "1", "2") for kind, port in ports) == []


def test_from_dockers_bridges_nfs_is_reached_at_no_address_of_either_family(fenced: tuple[Net, int]) -> None:
    net, _version = fenced
    addresses = (*OTHER.values(), *SERVER.values())
    assert net.reached(product(("0", "1"), ("tcp", "udp"), addresses, (2049, 111))) == []


def test_a_port_of_the_host_that_leads_to_nfs_leads_there_no_more(fenced: tuple[Net, int]) -> None:
    """DNAT comes before forward: the rules see where a packet goes, not where it was sent."""
    net, version = fenced
    assert net.reached((container, "tcp", HOST[version], 3049) for container in ("0", "1", "2")) == []


def test_what_is_no_nfs_is_not_kept_out(fenced: tuple[Net, int]) -> None:
    net, _version = fenced
    for container in ("0", "2"):
        for version in (4, 6):
            assert net.reaches(container, "tcp", OTHER[version], 80)
    assert net.reaches("2", "tcp", OTHER[4], 2049), "a bridge of another name: docs/firewall.md says so"


def test_the_machine_itself_mounts_as_before(fenced: tuple[Net, int]) -> None:
    net, _version = fenced
    for address in (*SERVER.values(), *OTHER.values()):
        for kind in ("tcp", "udp"):
            assert net.reaches("h", kind, address, 2049)
