"""Figures of the ownership and guard benches from known numbers, and the programs that create trees."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bench import __main__ as main
from tests.bench import contestants, delays, figures, guard, ownership, trees
from tests.lab.errors import LabError

MOUNTSTATS = """\
device rootfs mounted on / with fstype rootfs
device server:/srv/pods mounted on /mnt/pods with fstype nfs4 statvers=1.1
\topts:\trw,vers=4.2
\tage:\t141
\tRPC iostats version: 1.1  p/v: 100003/4 (nfs)
\tper-op statistics
\t        NULL: 1 1 0 44 24 6 0 6 0
\t        READ: 0 0 0 0 0 0 0 0 0
\t     SETATTR: 40 41 0 9283248 10563696 202 43870 45022 0
\t     READDIR: 9464 9464 0 1930656 17176080 79 4233 4512 0

device server:/srv/pods/other mounted on /mnt/pods/other with fstype nfs4 statvers=1.1
\tper-op statistics
\t     SETATTR: 7 7 0 1 1 1 1 1 0
"""


def test_rpcs_are_those_of_one_mount() -> None:
    assert figures.rpcs(MOUNTSTATS, "/mnt/pods") == {"NULL": 1, "SETATTR": 41, "READDIR": 9464}
    assert figures.rpcs(MOUNTSTATS, "/mnt/pods/other") == {"SETATTR": 7}
    assert figures.rpcs(MOUNTSTATS, "/mnt") == {}


def test_rpcs_between_two_readings_are_their_difference() -> None:
    assert figures.between({"READDIR": 4, "NULL": 1}, {"READDIR": 10, "NULL": 1, "SETATTR": 2}) == {
        "READDIR": 6,
        "SETATTR": 2,
        "total": 8,
    }


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1, 100), (0, 1)])
def test_percentiles_are_measured_values(share: float, value: int) -> None:
    assert figures.percentile([*range(100, 0, -1)], share) == value


def test_spread_has_median_p99_and_worst() -> None:
    assert figures.spread([3.00049, 1]) == {"p50": 1, "p99": 3, "worst": 3}


def timing(seconds: float, total: int) -> dict[str, Any]:
    return {"seconds": seconds, "rpcs": {"total": total}}


def test_ratios_exist_only_for_what_was_measured() -> None:
    cases = {
        "nothing": {
            "find": timing(2, 100),
            "ours": {"run": timing(3, 110)},
            "chown": timing(60, 900),
            "served": {"run": {"seconds": 4}},
        },
        "some": {"ours": {"run": timing(4, 125)}, "ansible": {"not_measured": "no package"}},
        "all": {},
    }
    result = figures.ratios(cases, wrong=10)
    assert result["nothing: ours / find, seconds"] == 1.5
    assert result["nothing: ours / find, rpcs"] == 1.1
    assert result["nothing: chown / ours, seconds"] == 20
    assert result["nothing: chown / find, seconds"] == 30
    assert result["nothing: chown / served, seconds"] == 15 and result["all: chown / served, seconds"] is None
    assert result["nothing: chown / ours, rpcs"] == 8.18 and result["nothing: chown / find, rpcs"] == 9
    assert result["some: extra rpcs of ours for each wrong entry"] == 1.5
    assert result["some: ansible / ours, seconds"] is None and result["all: chown / ours, seconds"] is None


def test_local_disk_has_no_rpcs() -> None:
    cases = {"nothing": {"find": {"seconds": 2}, "ours": {"run": {"seconds": 3}}}}
    result = figures.ratios(cases, wrong=10)
    assert result["nothing: ours / find, seconds"] == 1.5
    assert result["nothing: ours / find, rpcs"] is None
    assert result["some: extra rpcs of ours for each wrong entry"] is None


def test_plan_says_what_it_leaves_out() -> None:
    assert ownership._left_out(ownership.Plan(10)) == {}
    left = ownership._left_out(ownership.Plan(10, all=("ours",), left_out="slow"))
    assert left == {"why": "slow", "all": ["chown", "pyinfra", "ansible"]}
    for plan in (*ownership.LOCAL, *ownership.NFS):
        assert bool(ownership._left_out(plan)) == bool(plan.left_out)


def test_bench_runs_the_roles_program_as_the_role_sends_it() -> None:
    argv = contestants.ours("/mnt/t", apply=True, anchor="/mnt")
    assert argv[:3] == ["python3", "-I", "-c"]
    arguments = json.loads(argv[5])
    assert arguments["apply"] is True and arguments["trees"][0]["mount"] == "/mnt"


def test_failed_part_reports_its_reason_and_keeps_earlier_figures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fails(_divide: int, keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        keep({"trees": 1})
        assert json.loads(main.RESULT.read_text())["guard"] == {"trees": 1, "not_measured": "it has not ended"}
        raise LabError("no lab here")

    monkeypatch.setattr(main, "RESULT", tmp_path / "build" / "bench.json")
    monkeypatch.setitem(main.PARTS, "guard", (fails, str))
    main.write("lab", {"measured": True})
    main.main(["guard", "--divide", "10"])
    document = json.loads(main.RESULT.read_text())
    assert document["guard"] == {"trees": 1, "not_measured": "no lab here", "sizes_divided_by": 10}
    assert document["lab"] == {"measured": True}


LISTING = """\
10.00 10.40 1000 ./new-1-0
10.20 10.45 1000 ./new-1-0/sess-1
10.20 10.30 1000 ./new-1-0/sess-1/with space
20.00 20.10 1000 ./new-1-1
20.00 20.90 1000 ./new-1-1/late
30.00 30.10 0 ./new-1-2
"""


def test_late_sessions_and_entries_are_counted() -> None:
    result = delays.delays(delays.entries(LISTING, 1000), {"new-1-0": 10.42, "new-1-1": 20.2, "new-1-2": 30.2})
    assert result["from_mkdir_to_last_chown"] == {"p50": 0.45, "p99": 0.9, "worst": 0.9}
    assert result["of_which_making_it"]["worst"] == 0.42
    assert result["after_it_was_made"] == {"p50": 0.03, "p99": 0.7, "worst": 0.7}
    names = ("sessions", "failed_sessions", "late_entries", "not_given_yet")
    assert [result[name] for name in names] == [3, 2, 2, 1]
    assert result["failed_after_made"] == 2


def test_moved_session_counts_from_its_move() -> None:
    result = delays.delays(delays.entries(LISTING, 1000), {"new-1-1": 20.8}, moved=True)
    assert result["from_mkdir_to_last_chown"]["worst"] == result["after_it_was_made"]["worst"] == 0.1
    assert result["failed_sessions"] == result["failed_after_made"] == 0


@pytest.mark.parametrize(
    ("changed", "made", "late"),
    [
        (10.2, 10.1, False),  # within the window
        (10.5, 10.1, True),
        (10.5, 10.6, False),  # its session was not whole yet: the change may be of the one who made it
    ],
)
def test_entry_is_late_if_changed_after_its_session_is_whole(changed: float, made: float, late: bool) -> None:
    assert delays.is_late(delays.Entry("s", 10, changed, right=True), made) is late


def test_entry_of_another_owner_is_late() -> None:
    assert delays.is_late(delays.Entry("s", 10, 10, right=False), 11)


PROGRAMS = trees.PROGRAMS


def run(name: str, *args: str, stdin: str | None = None) -> str:
    command = [sys.executable, "-I", str(PROGRAMS / f"{name}.py"), *args]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, input=stdin).stdout


def test_tree_has_the_requested_entries_and_a_sample_of_names(tmp_path: Path) -> None:
    made = int(run("make_trees", str(tmp_path / "tree"), "1000"))
    paths = list((tmp_path / "tree").rglob("*"))
    assert made == len(paths) + 1 >= 1000
    some = (tmp_path / "tree.some").read_text().splitlines()
    assert len(set(some)) == (made - 1) // 100 and all(Path(path) in paths for path in some)
    assert {path.name for path in (tmp_path / "tree" / "ag-0" / "sess-0").iterdir()} == {
        *("inbound.db", "outbound.db", ".heartbeat", "inbox", "outbox"),
    }
    assert 8 <= len(list((tmp_path / "tree" / "ag-0" / "sess-0" / "inbox").iterdir())) <= 20


def test_tree_may_have_directories_alone(tmp_path: Path) -> None:
    made = int(run("make_trees", str(tmp_path / "tree"), "100", "only-directories"))
    paths = list((tmp_path / "tree").rglob("*"))
    assert made == len(paths) + 1 and all(path.is_dir() for path in paths)


def test_command_is_measured_with_its_memory() -> None:
    argv = [sys.executable, "-c", "import time; kept = b'x' * 60_000_000; time.sleep(1); print('done')"]
    result = json.loads(run("measured", stdin=json.dumps({"argv": argv, "limit": 50})))
    assert result["exit"] == 0 and result["said"] == ["done"] and result["seconds"] >= 1
    assert result["largest_kb"] > 58_000 and result["tree_kb"] > 58_000


def test_memory_of_all_processes_adds_up() -> None:
    child = "import time; kept = b'x' * 30_000_000; time.sleep(1.5)"
    parent = f"import subprocess, sys; [p.wait() for p in [subprocess.Popen([sys.executable, '-c', {child!r}])] * 1]"
    twice = parent.replace("])] * 1]", f"]), subprocess.Popen([sys.executable, '-c', {child!r}])]]")
    result = json.loads(run("measured", stdin=json.dumps({"argv": [sys.executable, "-c", twice], "limit": 50})))
    assert result["exit"] == 0 and result["tree_kb"] > 58_000 > result["largest_kb"]


def test_endless_command_is_stopped_and_reported() -> None:
    result = json.loads(run("measured", stdin=json.dumps({"argv": ["sleep", "60"], "limit": 0.5})))
    assert result["exit"] is None and result["seconds"] < 30


def test_sessions_are_complete_before_they_are_marked(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "marks").mkdir()
    request = {"root": str(tmp_path / "root"), "marks": str(tmp_path / "marks"), "label": "new", "count": 3, "rate": 50}
    request["staging"] = None
    result = json.loads(run("make_sessions", json.dumps(request)))
    assert result["made"] == 3 and result["reached"] > 0
    assert sorted(path.name for path in (tmp_path / "marks").iterdir()) == ["new-0", "new-1", "new-2"]
    made = {str(path.relative_to(tmp_path / "root" / "new-0")) for path in (tmp_path / "root" / "new-0").rglob("*")}
    assert {"sess-1/inbound.db", "sess-1/outbound.db", "sess-1/outbox", ".claude-shared/settings.json"} <= made
    assert len(made) == 12, "the bench says thirteen entries, the group's directory with them"


def test_sessions_are_moved_in_complete(tmp_path: Path) -> None:
    for name in ("root", "marks", "staging"):
        (tmp_path / name).mkdir()
    request: dict[str, Any] = {name: str(tmp_path / name) for name in ("root", "marks", "staging")}
    result = json.loads(run("make_sessions", json.dumps({**request, "label": "new", "count": 2, "rate": 100})))
    assert result["made"] == 2 and not list((tmp_path / "staging").iterdir())
    assert (tmp_path / "root" / "new-1" / "sess-1" / "inbox" / "msg-1" / "note.txt").exists()


def test_watcher_is_measured_until_its_watches_are_complete() -> None:
    code = (
        "import ctypes, os, sys, time; c = ctypes.CDLL(None); fd = c.inotify_init1(0); time.sleep(1); "
        "[c.inotify_add_watch(fd, p.encode(), 0x100) for p in ('/', '/tmp', '/usr')]; time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        try:
            result = json.loads(run("watcher", json.dumps({"pid": process.pid, "limit": 50, "quiet": 3, "idle": 1})))
        finally:
            process.kill()
    assert result["watches"] == 3 and result["complete"] and result["idle_cpu"] < 0.5 and result["rss_kb"] > 1000


def test_guard_figures_become_a_sentence() -> None:
    spread = {"p50": 0.01, "p99": 0.02, "worst": 0.03}
    of = {"reached": 9.9, "from_mkdir_to_last_chown": spread}
    sessions = {"rate": {"10": of}, "sessions": 300, "failed_sessions": 0}
    sentence = guard.sentence_of_sessions(sessions)
    assert "10/s (reached 9.9): p50 0.01 s" in sentence and "0 of 300 would have failed" in sentence
    watching = {"rss_kb": 49148, "idle_cpu": 0.0, "watches": 107802, "seconds": 419.4}
    sentence = guard.sentence_of_idle({"directories": 100_000, "guard": watching, "inotifywait": {"rss_kb": 2500}})
    assert "100000 directories: 49148 kB" in sentence and "107802 watches" in sentence and "2500" in sentence
