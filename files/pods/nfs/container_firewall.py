"""The rules that keep containers from the NFS server, and the drop-ins. Needs root, and changes nothing.

A check (nft -c) shows whether the kernel has nf_tables for inet; it commits nothing.
"""

from __future__ import annotations

import json
import shutil
from typing import Any

from files.pods.common.protocol import print_reply, read_request
from files.pods.common.read_text import read_text_or_none
from files.pods.common.run_command import run_command
from files.pods.common.systemctl import unit_properties
from files.pods.nfs.protocol import Backend, FirewallRequest, FirewallState


def run(argv: list[str], stdin: str = "") -> tuple[int, str]:
    """Run a command; return exit status and output."""
    done = run_command(argv, timeout=60, input=stdin)
    return done.returncode, done.stdout


def read_state(request: FirewallRequest) -> FirewallState:
    """Return the state of the rules, of their unit and of the drop-ins."""
    backend: Backend | None = None
    nft: list[Any] = []
    iptables: dict[str, list[str]] = {}
    tools = ("iptables-legacy", "ip6tables-legacy")
    legacy = tools[request.ipv6]
    probe = "add table inet nanoclaw_probe\nadd chain inet nanoclaw_probe f { type filter hook forward priority 0; }\n"
    if shutil.which("nft") and run(["nft", "-c", "-f", "-"], probe)[0] == 0:
        backend = "nft"
        status, output = run(["nft", "-j", "list", "table", "inet", request.table])
        nft = json.loads(output)["nftables"] if status == 0 and output else []
    elif shutil.which(legacy):
        for tool in filter(shutil.which, tools):
            status, output = run([tool, "--wait", "--table", "mangle", "--list-rules"])
            if status == 0:  # a kernel may know one family alone
                iptables[tool] = [line for line in output.splitlines() if request.chain in line.split()]
        backend = "iptables" if legacy in iptables else None
    properties = ("ActiveState", "UnitFileState", "NeedDaemonReload")
    shown = [unit_properties(unit, *properties) for unit in (request.unit, "docker.service", "nftables.service")]
    return FirewallState(
        backend=backend,
        tools=bool(shutil.which("nft") or shutil.which(legacy)),
        rules=read_text_or_none(request.rules[backend]) if backend else None,
        unit=read_text_or_none(request.unit_file),
        active=shown[0].get("ActiveState") == "active",
        enabled=shown[0].get("UnitFileState") == "enabled",
        needs_reload=any(unit.get("NeedDaemonReload") == "yes" for unit in shown),
        dropin=read_text_or_none(request.dropin),
        nftables=read_text_or_none(request.nftables),
        nft=nft,
        iptables=iptables,
    )


if __name__ == "__main__":
    print_reply(read_state(read_request(FirewallRequest)))
