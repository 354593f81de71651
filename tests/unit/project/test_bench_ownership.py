"""What the benches of ownership and of the guard make of numbers that are known, and the programs that make trees."""

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


def test_the_rpcs_of_one_mount_are_read_and_no_others() -> None:
    assert figures.rpcs(MOUNTSTATS, "/mnt/pods") == {"NULL": 1, "SETATTR": 41, "READDIR": 9464}
    assert figures.rpcs(MOUNTSTATS, "/mnt/pods/other") == {"SETATTR": 7}
    assert figures.rpcs(MOUNTSTATS, "/mnt") == {}


def test_what_was_sent_meanwhile() -> None:
    assert figures.between({"READDIR": 4, "NULL": 1}, {"READDIR": 10, "NULL": 1, "SETATTR": 2}) == {
        "READDIR": 6,
        "SETATTR": 2,
        "total": 8,
    }


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1, 100), (0, 1)])
def test_percentiles_are_values_that_were_seen(share: float, value: int) -> None:
    assert figures.percentile([*range(100, 0, -1)], share) == value


def test_a_spread_of_few_values() -> None:
    assert figures.spread([3.00049, 1]) == {"p50": 1, "p99": 3, "worst": 3}


def timing(seconds: float, total: int) -> dict[str, Any]:
    return {"seconds": seconds, "rpcs": {"total": total}}


def test_ratios_are_of_what_was_measured_and_none_of_the_rest() -> None:
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
    found = figures.ratios(cases, wrong=10)
    assert found["nothing: ours / find, seconds"] == 1.5
    assert found["nothing: ours / find, rpcs"] == 1.1
    assert found["nothing: chown / ours, seconds"] == 20
    assert found["nothing: chown / find, seconds"] == 30
    assert found["nothing: chown / served, seconds"] == 15 and found["all: chown / served, seconds"] is None
    assert found["nothing: chown / ours, rpcs"] == 8.18 and found["nothing: chown / find, rpcs"] == 9
    assert found["some: extra rpcs of ours for each wrong entry"] == 1.5
    assert found["some: ansible / ours, seconds"] is None and found["all: chown / ours, seconds"] is None


def test_there_are_no_rpcs_on_a_local_disk() -> None:
    cases = {"nothing": {"find": {"seconds": 2}, "ours": {"run": {"seconds": 3}}}}
    found = figures.ratios(cases, wrong=10)
    assert found["nothing: ours / find, seconds"] == 1.5
    assert found["nothing: ours / find, rpcs"] is None
    assert found["some: extra rpcs of ours for each wrong entry"] is None


def test_a_plan_says_what_it_leaves_out() -> None:
    assert ownership._left_out(ownership.Plan(10)) == {}
    left = ownership._left_out(ownership.Plan(10, all=("ours",), left_out="slow"))
    assert left == {"why": "slow", "all": ["chown", "pyinfra", "ansible"]}
    for plan in (*ownership.LOCAL, *ownership.NFS):
        assert bool(ownership._left_out(plan)) == bool(plan.left_out)


def test_the_program_of_the_role_is_measured_as_the_role_sends_it() -> None:
    words = contestants.ours("/mnt/t", apply=True, anchor="/mnt")
    assert words[:3] == ["python3", "-I", "-c"]
    arguments = json.loads(words[5])
    assert arguments["apply"] is True and arguments["trees"][0]["mount"] == "/mnt"


def test_a_part_that_cannot_be_measured_says_why_and_keeps_what_it_had(
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


def test_sessions_are_late_or_not() -> None:
    found = delays.delays(delays.entries(LISTING, 1000), {"new-1-0": 10.42, "new-1-1": 20.2, "new-1-2": 30.2})
    assert found["from_mkdir_to_last_chown"] == {"p50": 0.45, "p99": 0.9, "worst": 0.9}
    assert found["of_which_making_it"]["worst"] == 0.42
    assert found["after_it_was_made"] == {"p50": 0.03, "p99": 0.7, "worst": 0.7}
    assert (found["sessions"], found["failed_sessions"], found["late_entries"], found["not_given_yet"]) == (3, 2, 2, 1)
    assert found["failed_after_made"] == 2


def test_sessions_that_were_moved_in_are_born_then() -> None:
    found = delays.delays(delays.entries(LISTING, 1000), {"new-1-1": 20.8}, moved=True)
    assert found["from_mkdir_to_last_chown"]["worst"] == found["after_it_was_made"]["worst"] == 0.1
    assert found["failed_sessions"] == found["failed_after_made"] == 0


@pytest.mark.parametrize(
    ("changed", "made", "late"),
    [
        (10.2, 10.1, False),  # within the window
        (10.5, 10.1, True),
        (10.5, 10.6, False),  # its session was not whole yet: the change may be of the one who made it
    ],
)
def test_the_window_begins_with_an_entry_and_ends_when_its_session_is_whole(
    changed: float, made: float, late: bool
) -> None:
    assert delays.is_late(delays.Entry("s", 10, changed, right=True), made) is late


def test_what_is_not_the_agents_is_late_whenever_it_changed() -> None:
    assert delays.is_late(delays.Entry("s", 10, 10, right=False), 11)


PROGRAMS = trees.PROGRAMS


def run(name: str, *words: str, given: str | None = None) -> str:
    command = [sys.executable, "-I", str(PROGRAMS / f"{name}.py"), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, input=given).stdout


def test_a_tree_has_what_was_asked_for_and_names_of_one_in_a_hundred(tmp_path: Path) -> None:
    made = int(run("make_trees", str(tmp_path / "tree"), "1000"))
    paths = list((tmp_path / "tree").rglob("*"))
    assert made == len(paths) + 1 >= 1000
    some = (tmp_path / "tree.some").read_text().splitlines()
    assert len(set(some)) == (made - 1) // 100 and all(Path(path) in paths for path in some)
    assert {path.name for path in (tmp_path / "tree" / "ag-0" / "sess-0").iterdir()} == {
        *("inbound.db", "outbound.db", ".heartbeat", "inbox", "outbox"),
    }
    assert 8 <= len(list((tmp_path / "tree" / "ag-0" / "sess-0" / "inbox").iterdir())) <= 20


def test_a_tree_of_directories_alone(tmp_path: Path) -> None:
    made = int(run("make_trees", str(tmp_path / "tree"), "100", "only-directories"))
    paths = list((tmp_path / "tree").rglob("*"))
    assert made == len(paths) + 1 and all(path.is_dir() for path in paths)


def test_a_command_is_measured_with_its_memory() -> None:
    words = [sys.executable, "-c", "import time; kept = b'x' * 60_000_000; time.sleep(1); print('done')"]
    found = json.loads(run("measured", given=json.dumps({"argv": words, "limit": 50})))
    assert found["exit"] == 0 and found["said"] == ["done"] and found["seconds"] >= 1
    assert found["largest_kb"] > 58_000 and found["tree_kb"] > 58_000


def test_the_memory_of_all_processes_counts_together() -> None:
    child = "import time; kept = b'x' * 30_000_000; time.sleep(1.5)"
    parent = f"import subprocess, sys; [p.wait() for p in [subprocess.Popen([sys.executable, '-c', {child!r}])] * 1]"
    twice = parent.replace("])] * 1]", f"]), subprocess.Popen([sys.executable, '-c', {child!r}])]]")
    found = json.loads(run("measured", given=json.dumps({"argv": [sys.executable, "-c", twice], "limit": 50})))
    assert found["exit"] == 0 and found["tree_kb"] > 58_000 > found["largest_kb"]


def test_a_command_without_end_is_ended_and_said() -> None:
    found = json.loads(run("measured", given=json.dumps({"argv": ["sleep", "60"], "limit": 0.5})))
    assert found["exit"] is None and found["seconds"] < 30


def test_sessions_are_made_whole_before_they_are_marked(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "marks").mkdir()
    asked = {"root": str(tmp_path / "root"), "marks": str(tmp_path / "marks"), "label": "new", "count": 3, "rate": 50}
    asked["staging"] = None
    found = json.loads(run("make_sessions", json.dumps(asked)))
    assert found["made"] == 3 and found["reached"] > 0
    assert sorted(path.name for path in (tmp_path / "marks").iterdir()) == ["new-0", "new-1", "new-2"]
    made = {str(path.relative_to(tmp_path / "root" / "new-0")) for path in (tmp_path / "root" / "new-0").rglob("*")}
    assert {"sess-1/inbound.db", "sess-1/outbound.db", "sess-1/outbox", ".claude-shared/settings.json"} <= made
    assert len(made) == 12, "the bench says thirteen entries, the group's directory with them"


def test_sessions_are_moved_in_whole(tmp_path: Path) -> None:
    for name in ("root", "marks", "staging"):
        (tmp_path / name).mkdir()
    asked: dict[str, Any] = {name: str(tmp_path / name) for name in ("root", "marks", "staging")}
    found = json.loads(run("make_sessions", json.dumps({**asked, "label": "new", "count": 2, "rate": 100})))
    assert found["made"] == 2 and not list((tmp_path / "staging").iterdir())
    assert (tmp_path / "root" / "new-1" / "sess-1" / "inbox" / "msg-1" / "note.txt").exists()


def test_a_watcher_is_looked_at_until_it_has_its_watches() -> None:
    code = (
        "import ctypes, os, sys, time; c = ctypes.CDLL(None); fd = c.inotify_init1(0); time.sleep(1); "
        "[c.inotify_add_watch(fd, p.encode(), 0x100) for p in ('/', '/tmp', '/usr')]; time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        try:
            found = json.loads(run("watcher", json.dumps({"pid": process.pid, "limit": 50, "idle": 1})))
        finally:
            process.kill()
    assert found["watches"] == 3 and found["complete"] and found["idle_cpu"] < 0.5 and found["rss_kb"] > 1000


def test_the_guards_figures_in_words() -> None:
    spread = {"p50": 0.01, "p99": 0.02, "worst": 0.03}
    of = {"reached": 9.9, "from_mkdir_to_last_chown": spread}
    sessions = {"rate": {"10": of}, "sessions": 300, "failed_sessions": 0}
    said = guard.sentence_of_sessions(sessions)
    assert "10/s (reached 9.9): p50 0.01 s" in said and "0 of 300 would have failed" in said
    watching = {"rss_kb": 49148, "idle_cpu": 0.0, "watches": 107802, "seconds": 419.4}
    said = guard.sentence_of_idle({"directories": 100_000, "guard": watching, "inotifywait": {"rss_kb": 2500}})
    assert "100000 directories: 49148 kB" in said and "107802 watches" in said and "2500" in said
