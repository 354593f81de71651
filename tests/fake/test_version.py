"""A host that serves with another commit: the desired one is staged, then switched to in waves; or it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.fake.deploy import Outcome, deploy, fleet, replies
from tests.fixtures.patterns import merged

A, B, C = "@fake/a", "@fake/b", "@fake/c"
OLD = {"commit": "d1" * 20, "source": {"commit": "d1" * 20}, "built": {"commit": "d1" * 20}}
NONE: dict[str, Any] = {
    "journal": None,
    "under_way": False,
    "decided": False,
    "recorded": False,
    "v2_has_state": True,
    "bad": {},
}
DATA = fleet(a={"nanoclaw_canary": True}, b={}, c={})
START = "transition.start"


def run(
    tmp_path: Path,
    *arguments: str,
    old: tuple[str, ...] = (A, B, C),
    data: Any = DATA,
    progress: Any = NONE,
    checkout: Any = None,
    failing: tuple[str, ...] = (),
) -> Outcome:
    """Run over finished hosts, some of which have another commit checked out."""
    known = replies(data, "finished")
    before = {
        name: {
            "source.checkout": merged(merged(known[name]["source.checkout"], OLD), checkout or {}),
            "transition.state": progress,
        }
        for name in old
    }
    after = {name: {"source.checkout": known[name]["source.checkout"], "transition.state": NONE} for name in old}
    stuck = {name: before[name] for name in failing}
    return deploy(tmp_path, data, "finished", *arguments, instead=before, then={**after, **stuck})


def test_dry_run_says_which_hosts_change_and_in_which_wave(tmp_path: Path) -> None:
    dry = run(tmp_path, "--dry", old=(A, B))
    assert dry.exit == 0, dry.log
    assert f"    {A}: changes from {'d1' * 6} to v2.0.64 ({'c0' * 6}): staged beside it while it serves" in dry.log
    assert f"    wave 1 of the change of version: {A}\n" in dry.log
    assert f"    wave 2 of the change of version: {B}\n" in dry.log
    assert f"{C}: changes" not in dry.log
    assert [dry.commands(name) for name in (A, B, C)] == [[], [], []]
    assert dry.changed(C) == []
    for number, name in enumerate((A, B), 1):
        expected = ["Version | Stage the new version", f"Version | Switch to the new version, wave {number}"]
        assert [change for change in dry.changed(name) if change.startswith("Version")] == expected


def test_run_stages_then_switches_and_writes_nothing_under_the_service(tmp_path: Path) -> None:
    real = run(tmp_path, "-y", old=(A,))
    assert real.exit == 0, real.log
    sent = real.commands(A)
    assert sent.count(START) == 2 and sent.index("source.fetch") < sent.index(START)
    assert not {"source.switch_commit", "source.build", "service.start"} & set(sent)
    assert real.changed(C) == [] and real.commands(C) == []
    assert real.log.count("verified |") == len(DATA) - 1


def test_later_waves_stay_where_an_earlier_one_fails(tmp_path: Path) -> None:
    real = run(tmp_path, "-y", failing=(A,))
    assert real.exit != 0
    assert set(real.document["results"]["failed_hosts"]) == {A, B, C}
    assert "the switch has ended without v2.0.64: see /var/lib/nanoclaw-pods/" in real.log
    assert f"not changed, the old version serves: {A[6:]}" not in real.log
    assert real.log.count(f"not changed, the old version serves: {A} of an earlier wave failed") == 2
    assert [real.commands(name).count(START) for name in (A, B, C)] == [2, 1, 1], "B and C staged, and did not switch"


def test_limit_changes_its_hosts_alone(tmp_path: Path) -> None:
    real = run(tmp_path, "-y", "--limit", B)
    assert real.exit == 0, real.log
    assert real.commands(B).count(START) == 2
    assert real.sent[A] == real.sent[C] == []


def refused(tmp_path: Path, **changes: Any) -> str:
    real = run(tmp_path, "-y", **changes)
    assert real.exit != 0 and "nothing was changed, because:" in real.log
    assert [real.commands(name) for name in DATA] == [[]] * len(DATA), "nothing is sent before all can go on"
    return real.log


def test_change_that_is_under_way_is_refused(tmp_path: Path) -> None:
    log = refused(tmp_path, old=(B,), progress={**NONE, "under_way": True})
    assert f"{B}: nanoclaw_ref: a change of version is under way: wait for its end (systemctl status" in log


def test_version_that_failed_three_times_is_refused(tmp_path: Path) -> None:
    bad = {"c0" * 20: {"version": "2.1.17", "count": 3}}
    log = refused(tmp_path, old=(B,), progress={**NONE, "bad": bad})
    assert f"{B}: nanoclaw_ref: v2.0.64 was rolled back 3 times on this machine" in log
    assert "set another nanoclaw_ref, or remove /var/lib/nanoclaw-pods/" in log


def test_version_that_failed_twice_is_tried_again(tmp_path: Path) -> None:
    bad = {"c0" * 20: {"version": "2.1.17", "count": 2}}
    assert run(tmp_path, "-y", old=(B,), progress={**NONE, "bad": bad}).exit == 0


def test_local_changes_in_the_way_are_refused_before_anything_stops(tmp_path: Path) -> None:
    log = refused(tmp_path, old=(B,), checkout={"changed": ["src/index.ts"]})
    assert f"{B}: nanoclaw_ref: v2.0.64 changes files that were changed on this machine: src/index.ts" in log


def test_interrupted_switch_is_a_change_to_make_though_the_commit_is_there(tmp_path: Path) -> None:
    journal = {
        **{"host": B, "v1": "", "root": "/opt/nanoclaw", "unit": "u", "chats": "", "versions": {}, "attempt": 1},
        **{"state": "switching", "steps": [], "stopped": 1.0, "serving": None, "aside": False},
    }
    real = run(tmp_path, "-y", old=(B,), progress={**NONE, "journal": journal}, checkout={"commit": "c0" * 20})
    assert real.exit == 0, real.log
    assert real.commands(B).count(START) == 2


def test_host_without_a_reply_about_its_service_fails_alone(tmp_path: Path) -> None:
    """Another version would be written under a service that runs."""
    real = run(tmp_path, "-y", old=(B,), progress="what?")
    assert set(real.document["results"]["failed_hosts"]) == {B}
    assert [real.commands(name) for name in DATA] == [[]] * len(DATA)
