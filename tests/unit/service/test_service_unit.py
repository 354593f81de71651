"""The texts of the service: systemd reads them back, and the unit equals that of NanoClaw's own setup."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from files.pods.service.protocol import Account
from tasks.model.fleet.plan import HostPlan
from tasks.model.host.service_unit import (
    Runtime,
    dropin_text,
    expected_account,
    inputs,
    quoted,
    retry_text,
    rotation_text,
    unit_text,
)
from tasks.model.nfs.mount_unit import mount_points
from tests.builders import local_plan

STANDIN = Path(__file__).parents[2] / "lab" / "nanoclaw"
NFS: dict[str, Any] = {"pods_server": "10.0.0.1", "pods_export": "/srv/pods"}
SQUASHED: dict[str, Any] = {**NFS, "pods_export_options": ["all_squash", "anonuid=1000", "anongid=1000"]}
ROOT: dict[str, Any] = {"nanoclaw_user": "root"}


def runtime(of: HostPlan, systemd: int = 257) -> Runtime:
    return Runtime(expected_account(of), "/usr/bin/node", systemd)


def dropin(systemd: int = 257, **data: Any) -> list[str]:
    of = local_plan(**data)
    return dropin_text(of, runtime(of, systemd)).splitlines()


def as_systemd_reads(text: str) -> list[str]:
    """Split a setting: quotes and backslashes as in systemd.syntax(7), then %% as in systemd.unit(5)."""
    values, word, quote, started = [], "", "", False
    characters = iter(text.strip())
    for c in characters:
        if c == "\\":
            following = next(characters)
            assert following in '\\"', f"an escape that was not meant: \\{following}"
            word, started = word + following, True
        elif quote:
            quote, word = ("", word) if c == quote else (quote, word + c)
        elif c in "\"'":
            quote, started = c, True
        elif c.isspace():
            if started:
                values.append(word)
            word, started = "", False
        else:
            word, started = word + c, True
    assert not quote
    values += [word] if started else []
    assert all("%" not in word.replace("%%", "") for word in values)
    return [word.replace("%%", "%") for word in values]


values = st.text(st.characters(min_codepoint=32, exclude_characters="\x7f", exclude_categories=["Cs"]))


@given(st.text("ABC_", min_size=1), values)
def test_systemd_reads_back_each_assignment(name: str, value: str) -> None:
    assert as_systemd_reads(quoted(f"{name}={value}")) == [f"{name}={value}"]


@pytest.mark.parametrize("value", ["a\nb", "\0", "\x7f", "a\tb"])
def test_value_that_systemd_would_drop_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="control character"):
        quoted(value)


def test_plain_values_stay_unquoted() -> None:
    assert quoted("PATH=/usr/bin:/bin") == "PATH=/usr/bin:/bin"
    assert quoted('ODD=a "b" \\n 100%') == '"ODD=a \\"b\\" \\\\n 100%%"'


@pytest.mark.skipif(os.getuid() != 0 or shutil.which("node") is None, reason="the stand-in's setup wants root and Node")
def test_unit_equals_that_of_nanoclaws_setup_for_root(tmp_path: Path) -> None:
    root = tmp_path / "nanoclaw"
    shutil.copytree(STANDIN / "setup", root / "setup")
    request = os.environ | {"UNIT_DIR": str(tmp_path), "HOME": "/root"}
    ran = subprocess.run([root / "setup" / "service.sh"], env=request, check=True, capture_output=True, text=True)
    rooted = local_plan(**ROOT)
    of = replace(rooted, settings=rooted.settings.model_copy(update={"nanoclaw_root": str(root)}))
    assert ran.stdout.strip() == of.unit.removesuffix(".service")
    machine = Runtime(expected_account(of), str(shutil.which("node")), 257)
    assert unit_text(of, machine) == (tmp_path / of.unit).read_text()


def test_service_is_bound_to_all_its_mounts() -> None:
    lines = dropin(**SQUASHED, nanoclaw_root="/opt/nano-claw")
    units = r"pods.mount opt-nano\x2dclaw-data-v2\x2dsessions.mount opt-nano\x2dclaw-groups.mount"
    assert f"BindsTo={units}" in lines
    assert f"After=network-online.target docker.service {units}" in lines
    for path in ("/pods", "/opt/nano-claw/data/v2-sessions", "/opt/nano-claw/groups"):
        assert f"AssertPathIsMountPoint={path}" in lines
    assert "RequiresMountsFor=/opt/nano-claw /opt/nano-claw/data/v2-sessions /opt/nano-claw/groups" in lines


def test_service_needs_the_container_firewall() -> None:
    fence = "nanoclaw-pods-firewall.service"
    assert {f"Requires={fence}", f"After={fence}"} <= set(dropin(**SQUASHED))
    assert not any(fence in line for line in dropin())


def test_root_on_the_pods_needs_only_their_mount() -> None:
    lines = dropin(**SQUASHED, nanoclaw_root="/pods/nanoclaw")
    assert "BindsTo=pods.mount" in lines
    assert sum(line.startswith("AssertPathIsMountPoint=") for line in lines) == 1


def test_local_pods_are_required_but_not_asserted_as_mount() -> None:
    assert mount_points(local_plan()) == ("/opt/nanoclaw/data/v2-sessions", "/opt/nanoclaw/groups")
    on_pods = local_plan(nanoclaw_root="/pods/nanoclaw")
    assert mount_points(on_pods) == ()
    text = dropin_text(on_pods, runtime(on_pods))
    assert "RequiresMountsFor=/pods/nanoclaw" in text
    assert not any(word in text for word in ("BindsTo=", "OnFailure=", "AssertPath"))


def test_only_a_user_other_than_root_is_named_with_group_docker() -> None:
    assert not [line for line in dropin(**ROOT) if line.startswith(("User=", "Group=", "SupplementaryGroups="))]
    lines = dropin(nanoclaw_uid=1500)
    assert {"User=nanoclaw", "Group=1500", "SupplementaryGroups=docker"} <= set(lines)


def test_unit_restarts_forever_with_growing_delay_if_supported() -> None:
    assert {"Restart=always", "StartLimitIntervalSec=0", "RestartSteps=5"} <= set(dropin(254))
    assert "RestartSteps=5" not in dropin(253)


def test_unit_names_an_image_that_is_not_built() -> None:
    image = "registry.invalid/agent@sha256:" + "0" * 64
    lines = dropin(nanoclaw_image="pull", nanoclaw_image_name=image, nanoclaw_environment={"B": "b c"})
    assert [line for line in lines if line.startswith("Environment=")] == [
        'Environment="B=b c"',
        f"Environment=CONTAINER_IMAGE={image}",
    ]


def test_each_start_notes_digests_for_the_next_run() -> None:
    of = local_plan(nanoclaw_env={"TOKEN": "secret"})
    text = dropin_text(of, runtime(of))
    assert all(path in text for path in inputs(of))
    assert "umask 077" in text
    assert "secret" not in text


def test_retry_unit_starts_the_service_if_a_mount_is_missing() -> None:
    of = local_plan(**SQUASHED)
    text = retry_text(of)
    for path in mount_points(of):
        assert f"ConditionPathIsMountPoint=|!{path}\n" in text
    assert f"PartOf={of.unit}\n" in text
    assert f"OnFailure=nanoclaw-pods-retry-{of.slug}.service" in dropin(**SQUASHED)


def test_logs_rotate_as_their_owner() -> None:
    of = local_plan(nanoclaw_log_size="7M", nanoclaw_log_keep=3)
    text = rotation_text(of, Account(1000, 1000, "/home/nanoclaw", "agents"))
    for line in ("su nanoclaw agents", "size 7M", "rotate 3", "copytruncate", "missingok"):
        assert f"    {line}\n" in text
    assert "/opt/nanoclaw/logs/nanoclaw.log /opt/nanoclaw/logs/nanoclaw.error.log {" in text
