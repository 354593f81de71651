"""The rules that keep containers from the NFS server, in the words of nft(8) (files/firewall.nft says why), and of
iptables(8) where a kernel has no nf_tables.

Both backends hook into a place of their own, so that neither Docker's rules nor its backend matter: a drop in any table
is final.
"""

import ipaddress
import itertools
from collections.abc import Sequence
from typing import Any

from files.pods.nfs.protocol import Backend, FirewallRequest, FirewallState
from tasks.model.fleet.plan import HostPlan
from tasks.model.nfs.mount_unit import DOCKER_DROPIN
from tasks.model.systemd_names import UNITS
from tasks.model.templates import render

UNIT = "nanoclaw-pods-firewall.service"
UNIT_FILE = f"{UNITS}/{UNIT}"
NFTABLES_DROPIN = f"{UNITS}/nftables.service.d/nanoclaw-pods.conf"
TABLE = "nanoclaw_pods"
CHAIN = "NANOCLAW-PODS"

RULES = {"nft": "/etc/nanoclaw-pods/firewall.nft", "iptables": "/etc/nanoclaw-pods/firewall.iptables"}
"""The file of the rules, by backend."""

_BRIDGES = tuple(itertools.product(("docker", "br-"), ("tcp", "udp"), (111, 2049)))
"""How Docker's bridges begin, what NFS and rpcbind are reached by. One rule each: nft lists sets in its own order."""


def rules_text(backend: Backend, server: str) -> str:
    """The file of the rules. Applied as a whole and at once, whatever was there of it before."""
    if backend == "iptables":
        # Both tools read the file; each passes over what is for the other (iptables(8), -4 and -6).
        version = ipaddress.ip_address(server).version
        first, *others = _iptables_rules(server)
        rules = "\n".join([f"-{version} {first}", *others])
        return f"*mangle\n:{CHAIN} - [0:0]\n{rules}\nCOMMIT\n"
    return render("firewall.nft", table=TABLE, family=_family(server), server=server, bridges=_BRIDGES)


def unit_text(backend: Backend, legacy: Sequence[str] = ()) -> str:
    """The unit that applies the rules at boot, before Docker. `legacy`: the tools for a kernel without nf_tables."""
    if backend == "nft":
        commands = [f"/usr/sbin/nft -f {RULES[backend]}"]
    else:
        jump = f"FORWARD --jump {CHAIN}"
        commands = []
        for tool in sorted(legacy):
            table = f"/usr/sbin/{tool} --wait --table mangle"
            commands += [
                f"/usr/sbin/{tool}-restore --wait --noflush {RULES[backend]}",
                f"/bin/sh -c '{table} --check {jump} || exec {table} --insert {jump}'",
            ]
    return render("units/nanoclaw-pods-firewall.service", commands=commands)


def nftables_dropin() -> str:
    """What nftables.service runs besides, so that the rules come back whenever it flushes all."""
    return render("units/nftables.service.d/nanoclaw-pods.conf", rules=RULES["nft"])


def in_force(state: FirewallState, server: str) -> bool:
    """Whether the live rules are the wanted ones, and only those."""
    if state.backend == "nft":
        return [_without_handles(entry) for entry in state.nft if "metainfo" not in entry] == _desired_nft(server)
    ours, *both = _iptables_rules(server)
    desired = [f"-N {CHAIN}", f"-A FORWARD -j {CHAIN}", *both]
    tool = "iptables-legacy" if _family(server) == "ip" else "ip6tables-legacy"
    return all(
        sorted(state.iptables.get(name, ())) == sorted([*desired, ours] if name == tool else desired)
        for name in {tool, *state.iptables}
    )


def _iptables_rules(server: str) -> list[str]:
    """The rule for the server, and those for both families, as --list-rules prints them."""
    return [
        f"-A {CHAIN} -d {server}/{32 if _family(server) == 'ip' else 128} -j DROP",
        *(f"-A {CHAIN} -i {name}+ -p {kind} -m {kind} --dport {port} -j DROP" for name, kind, port in _BRIDGES),
    ]


def _desired_nft(server: str) -> list[dict[str, Any]]:
    place = {"family": "inet", "table": TABLE}
    chain = {**place, "name": "forward", "type": "filter", "hook": "forward", "prio": -10, "policy": "accept"}
    payload = {"protocol": _family(server), "field": "daddr"}
    rules = [[_match({"payload": payload}, server)]] + [
        [
            _match({"meta": {"key": "iifname"}}, f"{name}*"),
            _match({"payload": {"protocol": protocol, "field": "dport"}}, port),
        ]
        for name, protocol, port in _BRIDGES
    ]
    return [
        {"table": {"family": "inet", "name": TABLE}},
        {"chain": chain},
        *({"rule": {**place, "chain": "forward", "expr": [*matches, {"drop": None}]}} for matches in rules),
    ]


def _match(left: dict[str, Any], right: str | int) -> dict[str, Any]:
    return {"match": {"op": "==", "left": left, "right": right}}


def _without_handles(entry: dict[str, Any]) -> dict[str, Any]:
    return {kind: {key: value for key, value in body.items() if key != "handle"} for kind, body in entry.items()}


def _family(server: str) -> str:
    return "ip" if ipaddress.ip_address(server).version == 4 else "ip6"


def firewall_request(plan: HostPlan) -> FirewallRequest:
    """What a host is asked about these rules."""
    files = {"unit_file": UNIT_FILE, "dropin": DOCKER_DROPIN, "nftables": NFTABLES_DROPIN}
    ipv6 = bool(plan.source and ipaddress.ip_address(plan.source.address).version == 6)
    return FirewallRequest(table=TABLE, chain=CHAIN, rules=RULES, unit=UNIT, **files, ipv6=ipv6)
