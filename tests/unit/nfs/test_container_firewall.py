"""The rules that keep containers from the NFS server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from files.pods.nfs.protocol import Backend, FirewallState
from tasks.model.nfs.container_firewall import (
    CHAIN,
    RULES,
    TABLE,
    UNIT,
    UNIT_FILE,
    in_force,
    nftables_dropin,
    rules_text,
    unit_text,
)
from tests.fake.nft import listing
from tests.programs import shell_command

BARE = FirewallState("nft", True, None, None, False, False, False, None, None, [], {})
SERVERS = ["10.0.0.1", "fd00::1"]
NONE = {"dropin": "/none", "nftables": "/none"}
FLUSHES = ("ExecStartPost", "ExecReload", "ExecStopPost")
LEGACY = ["iptables-legacy", "ip6tables-legacy"]


@pytest.mark.parametrize("server", SERVERS)
def test_listed_rules_equal_the_desired_rules(server: str) -> None:
    assert in_force(replace(BARE, nft=listing(server)), server)
    assert not in_force(BARE, server)
    assert not in_force(replace(BARE, nft=listing("10.0.0.9")), server)
    extra = {"rule": {"family": "inet", "table": TABLE, "chain": "forward", "handle": 99, "expr": [{"accept": None}]}}
    assert not in_force(replace(BARE, nft=[*listing(server), extra]), server)
    for missing in range(1, len(listing(server))):
        assert not in_force(replace(BARE, nft=listing(server)[:missing] + listing(server)[missing + 1 :]), server)


@pytest.mark.parametrize(("server", "tool"), [("10.0.0.1/32", "iptables-legacy"), ("fd00::1/128", "ip6tables-legacy")])
def test_without_nf_tables_the_chains_of_both_families_are_compared(server: str, tool: str) -> None:
    both = [f"-N {CHAIN}", f"-A FORWARD -j {CHAIN}"]
    for name in ("docker+", "br-+"):
        for kind in ("tcp", "udp"):
            both += [f"-A {CHAIN} -i {name} -p {kind} -m {kind} --dport {port} -j DROP" for port in (111, 2049)]
    right = {"iptables-legacy": both, "ip6tables-legacy": both}
    right[tool] = [*both, f"-A {CHAIN} -d {server} -j DROP"]
    address = server.partition("/")[0]
    old = replace(BARE, backend="iptables", iptables=right)
    assert in_force(old, address)
    for name, lines in right.items():
        for missing in lines:
            less = {**right, name: [line for line in lines if line != missing]}
            assert not in_force(replace(old, iptables=less), address)
        assert not in_force(replace(old, iptables={**right, name: [*lines, f"-A {CHAIN} -j ACCEPT"]}), address)
    assert in_force(replace(old, iptables={tool: right[tool]}), address), "a kernel may know one family alone"
    assert not in_force(replace(old, iptables={}), address)


@pytest.mark.parametrize("backend", ["nft", "iptables"])
@pytest.mark.parametrize("server", SERVERS)
def test_every_rule_is_about_what_is_forwarded(backend: Backend, server: str) -> None:
    text = rules_text(backend, server) + unit_text(backend, LEGACY)
    assert server in text
    assert "input" not in text.lower()
    assert "output" not in text.lower()
    assert "docker0" not in text


def test_the_unit_comes_before_docker() -> None:
    text = unit_text("nft")
    assert "Before=docker.service" in text
    assert "RemainAfterExit=yes" in text
    assert "PartOf" not in text, "NanoClaw requires it, and does not restart with another firewall"
    assert all(f"/usr/sbin/{tool}-restore " in unit_text("iptables", LEGACY) for tool in LEGACY)


def test_the_rules_come_back_whenever_nftables_has_flushed_all() -> None:
    lines = nftables_dropin().splitlines()
    assert lines == ["[Service]", *(f"{what}=-/usr/sbin/nft -f {RULES['nft']}" for what in FLUSHES)]


def _namespace(script: str, folder: Path) -> str:
    (folder / "script").write_text(script)
    argv = ["unshare", "--net", "sh", "-e", str(folder / "script")]
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout


def _has(*command: str) -> bool:
    if os.geteuid() != 0 or not shutil.which(command[0]):
        return False
    return subprocess.run(["unshare", "--net", *command], capture_output=True).returncode == 0


def _fact(server: str, folder: Path) -> str:
    """A script that looks at a namespace as the role looks at a machine."""
    request = {"table": TABLE, "chain": CHAIN, "rules": RULES, "unit": UNIT, "unit_file": UNIT_FILE}
    stub = folder / "systemctl"
    stub.write_text("#!/bin/sh\necho ActiveState=active\n")
    stub.chmod(0o755)
    path = f"export PATH={folder}:{Path(sys.executable).parent}:$PATH\n"
    return f"{path}{shell_command('nfs.container_firewall', {**request, **NONE, 'ipv6': ':' in server})}\n"


def _state(output: str) -> FirewallState:
    return TypeAdapter(FirewallState).validate_json(output.splitlines()[-1])


@pytest.mark.skipif(not _has("nft", "add", "table", "inet", "t"), reason="needs root and nf_tables")
@pytest.mark.parametrize("server", SERVERS)
def test_fact_reads_nft_rules_of_a_real_kernel(server: str, tmp_path: Path) -> None:
    rules, fact = tmp_path / "firewall.nft", _fact(server, tmp_path)
    rules.write_text(rules_text("nft", server))
    assert not in_force(_state(_namespace(fact, tmp_path)), server)
    assert in_force(_state(_namespace(f"nft -f {rules}\nnft -f {rules}\n{fact}", tmp_path)), server)


@pytest.mark.skipif(not _has("ip6tables-legacy", "-t", "mangle", "-S"), reason="needs root and iptables-legacy")
@pytest.mark.parametrize("server", SERVERS)
def test_fact_reads_legacy_rules_of_a_real_kernel(server: str, tmp_path: Path) -> None:
    """The commands are those of the unit; an nft that fails stands for a kernel without nf_tables."""
    fact = _fact(server, tmp_path)
    (tmp_path / "nft").symlink_to("/bin/false")
    (tmp_path / "rules").write_text(rules_text("iptables", server))
    lines = [line for line in unit_text("iptables", LEGACY).splitlines() if line.startswith("ExecStart=")]
    apply = "\n".join(line.removeprefix("ExecStart=").replace("/usr/sbin/", "") for line in lines)
    apply = apply.replace(RULES["iptables"], str(tmp_path / "rules")) + "\n"
    before, after = (_state(_namespace(script, tmp_path)) for script in (fact, apply + apply + fact))
    assert (before.backend, in_force(before, server)) == ("iptables", False)
    assert in_force(after, server), after.iptables
