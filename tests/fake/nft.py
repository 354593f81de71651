"""What `nft -j list table` says of the rules that keep containers from the NFS server."""

from __future__ import annotations

from typing import Any


def listing(server: str) -> list[dict[str, Any]]:
    """As nft 1.0.6 and 1.1.3 print it."""
    place = {"family": "inet", "table": "nanoclaw_pods"}
    hook = {"type": "filter", "hook": "forward", "prio": -10, "policy": "accept"}
    rules = [[_match({"payload": {"protocol": "ip6" if ":" in server else "ip", "field": "daddr"}}, server)]]
    for name in ("docker*", "br-*"):
        for protocol in ("tcp", "udp"):
            for port in (111, 2049):
                came = _match({"meta": {"key": "iifname"}}, name)
                rules.append([came, _match({"payload": {"protocol": protocol, "field": "dport"}}, port)])
    return [
        {"metainfo": {"version": "1.1.3", "release_name": "Commodore Bullmoose #4", "json_schema_version": 1}},
        {"table": {"family": "inet", "name": "nanoclaw_pods", "handle": 7}},
        {"chain": {**place, "name": "forward", "handle": 1, **hook}},
        *(
            {"rule": {**place, "chain": "forward", "handle": number, "expr": [*matches, {"drop": None}]}}
            for number, matches in enumerate(rules, 2)
        ),
    ]


def _match(left: dict[str, Any], right: str | int) -> dict[str, Any]:
    return {"match": {"op": "==", "left": left, "right": right}}
