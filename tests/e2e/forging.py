"""An agent cannot speak to the NFS server as another user: not from a low port, not over IPv6, under any strategy.

A server believes what comes from a host's address and a port below 1024. A container can bind such a port, and Docker
sends it out behind the host's address, port and all. So it is tried as the agent, without capabilities, in the network
of a container of its image.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from tasks.model.nfs.container_firewall import UNIT
from tests.e2e.fleet import Fleet

Heard = Literal["open", "refused", "silence"]
"""What a caller hears: a connection, a refusal of the machine that it called, or nothing."""

PORTS = (2049, 111)
FIRST_PORT = 700
PREFIX, INSIDE = "fd99:0:0:1", "fd99:0:0:2"
"""The machines' network and that of containers, for IPv6, which the lab has none of by itself."""
NETWORK = "agents-ipv6"

_CALL = """
import json, socket, sys
heard = {}
for number, (address, port) in enumerate(json.loads(sys.argv[1])):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as caller:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        caller.bind(("", int(sys.argv[2]) + number))
        caller.settimeout(4)
        try:
            caller.connect((address, port))
            heard["%s %s" % (address, port)] = "open"
        except socket.timeout:
            heard["%s %s" % (address, port)] = "silence"
        except ConnectionRefusedError:
            heard["%s %s" % (address, port)] = "refused"
print(json.dumps(heard))
"""


def cannot_forge(fleet: Fleet, name: str) -> None:
    """No container of the host hears anything of the server; that it is the fence which keeps it out is shown, too."""
    host, own = fleet.lab[name], _server(fleet)
    with _ipv6(fleet, name), _container(fleet, name, "bridge") as agent, _container(fleet, name, NETWORK) as other:
        called = [(address, port) for address in own for port in PORTS]
        # The way there is open for the host itself, over both kinds of address.
        assert set(_hear(fleet, name, [(address, 2049) for address in own]).values()) == {"open"}
        assert set(_hear(fleet, name, [(own[0], port) for port in PORTS], agent).values()) == {"silence"}
        assert set(_hear(fleet, name, called, other).values()) == {"silence"}
        try:
            host.succeed(_without_fence())
            assert _hear(fleet, name, [(own[0], 2049)], agent) == {f"{own[0]} 2049": "open"}
            heard = _hear(fleet, name, [(address, 2049) for address in own], other)
            assert set(heard.values()) == {"open"}, heard
        finally:
            host.succeed(f"systemctl reload-or-restart {UNIT}")
        assert set(_hear(fleet, name, called, other).values()) == {"silence"}
    path = fleet.host(name).settings.pods_path
    host.succeed(f"ls {path} && stat -f -c %T {path} | grep -qx nfs", timeout=60)


def _server(fleet: Fleet) -> tuple[str, str]:
    return fleet.lab["server"].address, f"{PREFIX}::10"


def _without_fence() -> str:
    """The rules gone, by whichever tool the machine's kernel takes."""
    tools = " && ".join(f"{tool} -t mangle -F NANOCLAW-PODS" for tool in ("iptables-legacy", "ip6tables-legacy"))
    return f"nft delete table inet nanoclaw_pods 2>/dev/null || {{ {tools}; }}"


def _hear(fleet: Fleet, name: str, called: list[tuple[str, int]], container: str | None = None) -> dict[str, Heard]:
    """What is heard from low ports: as the agent in a container's network, or as root on the host itself."""
    call = ["python3", "-c", _CALL, json.dumps(called), str(FIRST_PORT)]
    agent = fleet.host(name).agent
    if container:
        bare = ["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]
        ids = [f"--reuid={agent.uid}", f"--regid={agent.gid}", "--clear-groups"]
        place = fleet.lab[name].succeed(f"docker inspect --format '{{{{.State.Pid}}}}' {container}").strip()
        call = ["nsenter", "--net", f"--target={place}", "setpriv", *ids, *bare, *call]
    heard: dict[str, Heard] = json.loads(fleet.lab[name].succeed(shlex.join(call), timeout=120))
    return heard


@contextmanager
def _container(fleet: Fleet, name: str, network: str) -> Iterator[str]:
    """A container of the agent's image in a network; the first is the one that agents are in."""
    host, image = fleet.lab[name], fleet.host(name).image
    run = f"docker run --detach --rm --network {network} --entrypoint sh {image} -c 'sleep 1000'"
    container = host.succeed(run, timeout=180).strip()
    try:
        yield container
    finally:
        host.succeed(f"docker kill {container}", timeout=120)


@contextmanager
def _ipv6(fleet: Fleet, name: str) -> Iterator[None]:
    """Gives both machines addresses, and containers a network that leaves behind the host's address as in IPv4."""
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
