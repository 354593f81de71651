"""What a measurement says, from numbers that are known."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.bench import counted, hostile_inputs, planning, timed
from tests.docs import PROJECT
from tests.fake.deploy import Cost
from tests.unit.trees.trees import needs_root

COUNTS = {
    "first": {"@fake/a": Cost(12, 20, 60, 39, 10), "@fake/longer": Cost(5, 7, 18, 11, 4)},
    "second": {"@fake/a": Cost(12, 13, 3, 0, 0), "@fake/longer": Cost(5, 7, 2, 0, 0)},
}


def test_table_has_a_row_for_each_machine() -> None:
    assert counted.table(COUNTS).splitlines() == [
        "          first run                            second run",
        "machine   operations  facts  trips  commands   operations  facts  trips  commands",
        "a                 12     20     60        39           12     13      3         0",
        "longer             5      7     18        11            5      7      2         0",
    ]


def test_counts_are_grouped_by_machine_and_run() -> None:
    machines = counted.document(COUNTS)["machines"]
    assert machines["a"]["second"] == {"operations": 12, "facts": 13, "trips": 3, "commands": 0, "changes": 0}
    assert list(machines) == ["a", "longer"]


@pytest.mark.parametrize(
    ("timing", "waiting", "share"),
    [
        (timed.Timing(10, 2, 1), 7, 0.7),
        (timed.Timing(10, 2, None), 8, 0.8),
        (timed.Timing(1, 2, None), 0, 0),
        (timed.Timing(0, 0, 0), 0, 0),
    ],
)
def test_waiting_is_the_rest_of_the_wall_time(timing: timed.Timing, waiting: float, share: float) -> None:
    assert timing.waiting == waiting
    assert timing.share == pytest.approx(share)


@pytest.mark.parametrize(
    ("text", "seconds"), [("993412 2208842000 64\n", 2.208842), ("0 0 0\n", None), ("", None), ("1 2", None)]
)
def test_run_queue_time_is_read_from_schedstat(text: str, seconds: float | None) -> None:
    assert timed.queued_seconds(text) == seconds


ALONE = """
import json, sys
from dataclasses import astuple
from tests.bench.timed import timed
timing, *output = timed(json.loads(sys.argv[1]), float(sys.argv[2]))
print(json.dumps([astuple(timing), *output]))
"""


def timed_alone(argvt: list[str], limit: float) -> tuple[timed.Timing, int, str, str]:
    """`timed` as the bench runs it: once something has imported gevent's patches, gevent takes the ends of children."""
    outer_argv = [sys.executable, "-c", ALONE, json.dumps(argvt), str(limit)]
    done = subprocess.run(outer_argv, cwd=PROJECT, check=True, capture_output=True, text=True, timeout=60)
    timing, code, out, err = json.loads(done.stdout)
    return timed.Timing(*timing), code, out, err


def test_command_is_timed_and_its_output_is_kept() -> None:
    script = "import sys, time; time.sleep(0.3); print('out'); sys.exit('err')"
    timing, code, out, err = timed_alone([sys.executable, "-c", script], 30)
    assert (code, out, err) == (1, "out\n", "err\n")
    assert timing.wall >= 0.3 and timing.cpu > 0


def test_endless_command_is_stopped() -> None:
    timing, code, _out, _err = timed_alone([sys.executable, "-c", "import time; time.sleep(60)"], 0.3)
    assert code < 0 and timing.wall < 30


def test_missing_lab_is_reported() -> None:
    figures = timed.measure({timed.LAB_NAME: "never-started"})
    assert figures["measured"] is False and "never-started is not up" in figures["why"]
    assert "not measured" in timed.sentence(figures)
    assert timed.measure({timed.LAB_NAME: "No Lab"})["why"].startswith("lab No Lab")


def test_measurement_becomes_one_line() -> None:
    figures = timed.document("test", 4, timed.Timing(40, 10, 2))
    assert figures["seconds"] == {"wall": 40, "cpu": 10, "queued": 2, "waiting": 28}
    assert "(4 machines): 40 s" in timed.sentence(figures) and "28 s (70%)" in timed.sentence(figures)


def test_failed_run_shows_the_machines_last_line() -> None:
    log = "--> Connecting\n    [server] Connection refused\n\n--> pyinfra error: No hosts remaining!\n"
    assert timed.last_line(log) == "[server] Connection refused"
    assert timed.last_line("--> pyinfra error: wrong\n") == "--> pyinfra error: wrong"
    assert timed.last_line("\n") == "it said nothing"


def test_planning_bench_measures_two_sizes_and_refuses_wrong_fleets() -> None:
    figures = planning.measure(5, 10)
    assert {kind: sizes[10]["problems"] for kind, sizes in figures["fleets"].items()} == {
        "planned": 0,
        "one tree": 10,
        "one address": 10,
        "unknown key": 10,
    }
    assert set(figures["ratios"]) >= {"planned: many / few, seconds", "one tree / planned, kb"}
    assert "planning: 10 hosts in " in planning.sentence(figures)


@needs_root
def test_hostile_database_is_measured_against_an_ordinary_one() -> None:
    figures = hostile_inputs.measure()
    ordinary, hostile = figures["databases"]["ordinary"], figures["databases"]["hostile"]
    assert (ordinary["inspect"]["exit"], ordinary["extract"]["exit"], hostile["inspect"]["exit"]) == (0, 0, 0)
    assert hostile["extract"]["exit"] != 0 and hostile["extract"]["written"] == 0 < ordinary["extract"]["written"]
    assert "hostile database of " in hostile_inputs.sentence(figures)
