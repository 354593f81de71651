"""What a machine says of its packet filters: by nft, else by iptables-legacy."""

from __future__ import annotations

from pathlib import Path

import pytest

from files.pods.nfs import container_firewall
from files.pods.nfs.protocol import FirewallRequest, FirewallState

TABLE = '{"nftables": [{"metainfo": {}}, {"table": {"family": "inet", "name": "pods"}}]}'


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is the whole PATH."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}/bin")
    program(tmp_path, "systemctl", "echo ActiveState=inactive")
    return tmp_path


def program(folder: Path, name: str, text: str) -> None:
    path = folder / "bin" / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def read_state(folder: Path, *, ipv6: bool = False) -> FirewallState:
    names = ("unit_file", "dropin", "nftables", "rules.nft", "rules.iptables")
    files = {name: str(folder / name) for name in names}
    rules = {"nft": files.pop("rules.nft"), "iptables": files.pop("rules.iptables")}
    return container_firewall.read_state(
        FirewallRequest(ipv6=ipv6, table="pods", chain="PODS", unit="x.service", rules=rules, **files)
    )


NFT = """case "$*" in
"-c -f -") read line; test "$line" = "add table inet nanoclaw_probe" || exit 1 ;;
"-j list table inet pods") %s ;;
*) exit 2 ;;
esac"""


def test_nft_lists_the_table_of_the_role(programs: Path) -> None:
    program(programs, "nft", NFT % f"echo '{TABLE}'")
    (programs / "rules.nft").write_text("table\n")
    state = read_state(programs)
    assert (state.backend, state.tools, state.rules) == ("nft", True, "table\n")
    assert state.nft[1]["table"]["name"] == "pods" and state.iptables == {}
    program(programs, "nft", NFT % "exit 1")
    assert read_state(programs).nft == [], "the table is not there"


LEGACY = (
    'test "$*" = "--wait --table mangle --list-rules" || exit 2; '
    "printf -- '-N PODS\\n-A FORWARD -j PODS\\n-A FORWARD -j PODS2\\n-A PODS -d 10.0.0.1 -j DROP\\n'"
)
RULES = ["-N PODS", "-A FORWARD -j PODS", "-A PODS -d 10.0.0.1 -j DROP"]


def test_iptables_lists_rules_of_a_kernel_without_nf_tables(programs: Path) -> None:
    program(programs, "nft", "exit 1")
    program(programs, "iptables-legacy", LEGACY)
    (programs / "rules.iptables").write_text("*mangle\n")
    state = read_state(programs)
    assert (state.backend, state.rules) == ("iptables", "*mangle\n")
    assert state.iptables == {"iptables-legacy": RULES}


def test_a_family_that_the_kernel_does_not_know_is_left_out(programs: Path) -> None:
    program(programs, "iptables-legacy", LEGACY)
    program(programs, "ip6tables-legacy", "exit 3")
    assert read_state(programs).iptables == {"iptables-legacy": RULES}
    state = read_state(programs, ipv6=True)
    assert (state.backend, state.rules, state.tools) == (None, None, True)


def test_a_machine_without_any_has_none(programs: Path) -> None:
    state = read_state(programs)
    assert (state.backend, state.tools, state.nft, state.iptables) == (None, False, [], {})


@pytest.mark.parametrize("of", ["x.service", "docker.service", "nftables.service"])
def test_units_are_what_systemd_says_of_them(of: str, programs: Path) -> None:
    text = f"""test "$1 $2" = "show --property=ActiveState,UnitFileState,NeedDaemonReload" || exit 1
test "$3" = {of} && printf 'ActiveState=active\\nUnitFileState=enabled\\nNeedDaemonReload=yes\\n'
exit 0"""
    program(programs, "systemctl", text)
    state = read_state(programs)
    ours = of == "x.service"
    assert (state.active, state.enabled, state.needs_reload) == (ours, ours, True)


def test_units_that_need_no_reload_are_not_reloaded(programs: Path) -> None:
    program(programs, "systemctl", "printf 'ActiveState=failed\\nUnitFileState=disabled\\nNeedDaemonReload=no\\n'")
    state = read_state(programs)
    assert (state.active, state.enabled, state.needs_reload) == (False, False, False)
