"""An agent cannot send NFS requests as another user: not from a low port, not over IPv6, under any strategy.

A server trusts requests from a host's address and a port below 1024. A container can bind such a port, and Docker
translates the address but keeps the port. The test connects as the agent, without capabilities, from the network of
a container.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from tasks.model.nfs.container_firewall import UNIT
from tests.e2e.fleet import Fleet

Reply = Literal["open", "refused", "silence"]
"""What a client gets: a connection, a refusal by the target machine, or nothing."""

PORTS = (2049, 111)
FIRST_PORT = 700
PREFIX, INSIDE = "fd99:0:0:1", "fd99:0:0:2"
"""IPv6 networks of the machines and of containers; the lab itself has only IPv4."""
NETWORK = "agents-ipv6"

_CONNECT_SCRIPT = """
import json, socket, sys
replies = {}
for number, (address, port) in enumerate(json.loads(sys.argv[1])):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind(("", int(sys.argv[2]) + number))
        client.settimeout(4)
        try:
            client.connect((address, port))
            replies["%s %s" % (address, port)] = "open"
        except socket.timeout:
            replies["%s %s" % (address, port)] = "silence"
        except ConnectionRefusedError:
            replies["%s %s" % (address, port)] = "refused"
print(json.dumps(replies))
"""


def assert_cannot_forge(fleet: Fleet, name: str) -> None:
    """Check that no container of the host reaches the server, and that without the firewall it would."""
    host, addresses = fleet.lab[name], _server(fleet)
    with _ipv6(fleet, name), _container(fleet, name, "bridge") as agent, _container(fleet, name, NETWORK) as other:
        targets = [(address, port) for address in addresses for port in PORTS]
        # The host itself reaches the server, over IPv4 and IPv6.
        assert set(_connect(fleet, name, [(address, 2049) for address in addresses]).values()) == {"open"}
        assert set(_connect(fleet, name, [(addresses[0], port) for port in PORTS], agent).values()) == {"silence"}
        assert set(_connect(fleet, name, targets, other).values()) == {"silence"}
        try:
            host.succeed(_remove_firewall())
            assert _connect(fleet, name, [(addresses[0], 2049)], agent) == {f"{addresses[0]} 2049": "open"}
            replies = _connect(fleet, name, [(address, 2049) for address in addresses], other)
            assert set(replies.values()) == {"open"}, replies
        finally:
            host.succeed(f"systemctl reload-or-restart {UNIT}")
        assert set(_connect(fleet, name, targets, other).values()) == {"silence"}
    path = fleet.host(name).settings.pods_path
    host.succeed(f"ls {path} && stat -f -c %T {path} | grep -qx nfs", timeout=60)


def _server(fleet: Fleet) -> tuple[str, str]:
    return fleet.lab["server"].address, f"{PREFIX}::10"


def _remove_firewall() -> str:
    """Return a command that removes the rules, with nft or with iptables-legacy."""
    tools = " && ".join(f"{tool} -t mangle -F NANOCLAW-PODS" for tool in ("iptables-legacy", "ip6tables-legacy"))
    return f"nft delete table inet nanoclaw_pods 2>/dev/null || {{ {tools}; }}"


def _connect(fleet: Fleet, name: str, targets: list[tuple[str, int]], container: str | None = None) -> dict[str, Reply]:
    """Connect from low ports, as the agent in a container's network or as root on the host, and return the replies."""
    argv = ["python3", "-c", _CONNECT_SCRIPT, json.dumps(targets), str(FIRST_PORT)]
    agent = fleet.host(name).agent
    if container:
        bare = ["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]
        ids = [f"--reuid={agent.uid}", f"--regid={agent.gid}", "--clear-groups"]
        pid = fleet.lab[name].succeed(f"docker inspect --format '{{{{.State.Pid}}}}' {container}").strip()
        argv = ["nsenter", "--net", f"--target={pid}", "setpriv", *ids, *bare, *argv]
    replies: dict[str, Reply] = json.loads(fleet.lab[name].succeed(shlex.join(argv), timeout=120))
    return replies


@contextmanager
def _container(fleet: Fleet, name: str, network: str) -> Iterator[str]:
    """Run a container of the agent image in a network. Agents use `bridge`."""
    host, image = fleet.lab[name], fleet.host(name).image
    run = f"docker run --detach --rm --network {network} --entrypoint sh {image} -c 'sleep 1000'"
    container = host.succeed(run, timeout=180).strip()
    try:
        yield container
    finally:
        host.succeed(f"docker kill {container}", timeout=120)


@contextmanager
def _ipv6(fleet: Fleet, name: str) -> Iterator[None]:
    """Set IPv6 addresses on both machines, and a container network that is translated to the host's address."""
    host, server = fleet.lab[name], fleet.lab["server"]
    nat = f"ip6tables-legacy -t nat {{}} POSTROUTING -s {INSIDE}::/64 -o vec0 -j MASQUERADE"
    forwards = host.succeed("sysctl -n net.ipv6.conf.all.forwarding").strip()
    try:
        server.succeed(f"ip -6 address replace {PREFIX}::10/64 dev vec0 nodad")
        host.succeed(
            f"ip -6 address replace {PREFIX}::11/64 dev vec0 nodad && sysctl -qw net.ipv6.conf.all.forwarding=1"
        )
        host.succeed(
            f"docker network create --ipv6 --subnet {INSIDE}::/64 {NETWORK} && {nat.format('-A')}", timeout=120
        )
        yield
    finally:
        host.run(f"{nat.format('-D')}; docker network rm {NETWORK}", check=False, timeout=120)
        host.run(
            f"sysctl -qw net.ipv6.conf.all.forwarding={forwards}; ip -6 address del {PREFIX}::11/64 dev vec0",
            check=False,
        )
        server.run(f"ip -6 address del {PREFIX}::10/64 dev vec0", check=False)
