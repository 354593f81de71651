"""The matrix has all its cells, and reports a wrong prediction."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tasks.model.access.session_lifecycle import ACTIONS, live
from tests.lab.machine import Machine
from tests.matrix import machines
from tests.matrix.cells import NOT_PLAIN, SAME, Cell, cells, left_out
from tests.matrix.containers import results
from tests.matrix.run import NOT_STARTED, Outcome, Results, compare, run

GROUPS = {0: frozenset({0}), 1500: frozenset({1500, 3000})}
CELLS = cells(GROUPS)


def as_predicted(members: list[Cell]) -> Results:
    return {cell.name: {action: answer.errno for action, answer in live(cell.case).items()} for cell in members}


def test_matrix_has_every_value_that_operators_meet() -> None:
    assert len(CELLS) >= 1000
    assert len({cell.name for cell in CELLS}) == len(CELLS)
    cases = [cell.case for cell in CELLS]
    assert {case.host.uid for case in cases} == {0, 1000, 1500}
    assert {case.host.uid == case.host.gid for case in cases} == {True, False}
    assert {cell.user for cell in CELLS} == {"1000:1000", "1001:1001", "0", "node"}
    assert {case.storage.kind for case in cases} == {"local", "nfs3", "nfs4"}
    assert {case.tree.mode for case in cases} == {0o755, 0o775, 0o700, 0o2775}
    assert {case.chown_by for case in cases} == {"nobody", "host", "guard", "server"}
    assert {bool(case.groups) for case in cases} == {case.storage.broken_mapping for case in cases} == {True, False}
    squashes = {(case.storage.squash.maps, case.storage.squash.anonymous.uid) for case in cases if case.storage.squash}
    assert {("none", 65534), ("root", 65534), ("root", 1000), ("all", 1000), ("all", 2000), ("all", 65534)} <= squashes


def test_predicted_results_agree() -> None:
    outcome = Outcome()
    compare(CELLS, as_predicted(CELLS), outcome)
    assert (outcome.actions, outcome.disagreements, outcome.not_run) == (len(CELLS) * len(ACTIONS), [], [])


def test_wrong_prediction_is_reported() -> None:
    results = as_predicted(CELLS[:1])
    results[CELLS[0].name]["agent writes outbound.db"] = "EROFS"
    outcome = Outcome()
    compare(CELLS[:1], results, outcome)
    assert [wrong["seen"] for wrong in outcome.disagreements] == ["EROFS"]


def test_agent_without_a_container_is_counted_and_leaves_no_heartbeat() -> None:
    cell = next(cell for cell in CELLS if live(cell.case)["agent touches .heartbeat"].outcome == "allowed")
    results = as_predicted([cell])
    results[cell.name] = {
        action: errno for action, errno in results[cell.name].items() if not action.startswith("agent")
    }
    results[cell.name]["host deletes .heartbeat"] = "ENOENT"
    outcome = Outcome()
    compare([cell], results, outcome)
    assert (len(outcome.not_run), outcome.disagreements) == (5, [])
    assert {each["why"] for each in outcome.not_run} == {NOT_STARTED}


def test_cells_are_distinct() -> None:
    assert len({str(cell.case) + cell.round for cell in CELLS}) == len(CELLS)


def test_combinations_without_a_cell_are_counted_with_a_reason() -> None:
    counted = {group.case: (group.cells, group.why) for group in left_out(GROUPS)}
    assert counted["docker=userns-remap"] == counted["docker=rootless"] == (len(CELLS), NOT_PLAIN)
    # Of six hosts the two of uid 1500 have one agent for four images, and the others one for 1000:1000 and node.
    local, remote = 1, 2 * 6
    of_root_or_1000 = 4 * 1 * 3 * 4 * (local + remote)
    of_1500 = 2 * 3 * 3 * 4 * (local + remote)
    (other,) = (value for case, value in counted.items() if not case.startswith("docker"))
    assert other == (of_root_or_1000 + of_1500, SAME)


MKDIR = 'error mounting "/srv/x" to rootfs at "/workspace/agent": mkdirat /var/lib/docker/1/workspace/agent: '
STAT = 'docker: invalid mount config for type "bind": stat /mnt/matrix/nfs4/root_squash/c0001/session: '


@pytest.mark.parametrize("complaint", [f"{MKDIR}permission denied.", f"{STAT}permission denied. See --help"])
def test_container_without_mount_points_counts_as_denied(complaint: str) -> None:
    output = f'c0001 !docker: {complaint}\nc0002 {{"agent reads inbound.db": null}}\n'
    point = "dockerd makes the mount points"
    assert results(output) == {"c0001": {point: "EACCES"}, "c0002": {point: None, "agent reads inbound.db": None}}


@pytest.mark.parametrize(
    "complaint",
    [
        "permission denied while trying to connect to the Docker daemon socket",
        "exec: sh: permission denied",
        "Unable to find image agent-0",
        f"{MKDIR}no space left on device",
    ],
)
def test_container_that_fails_for_another_reason_ends_the_run(complaint: str) -> None:
    with pytest.raises(RuntimeError, match="cell c0001 did not start"):
        results(f"c0001 !docker: {complaint}\n")


class Broken:
    """A machine on which nothing but the taking down works."""

    def put(self, path: str, text: str) -> None:
        raise OSError("no space left on device")


def test_both_machines_are_cleaned_after_a_failed_round(monkeypatch: pytest.MonkeyPatch) -> None:
    cleaned: list[Any] = []
    monkeypatch.setattr(machines, "make_accounts", lambda server: GROUPS)
    monkeypatch.setattr(machines, "tear_down", lambda *both: cleaned.extend(both))
    both = [cast(Machine, Broken()), cast(Machine, Broken())]
    with pytest.raises(OSError, match="no space"):
        run(both[0], both[1], lambda cells: cells[:1], print)
    assert cleaned == both


def test_outcomes_of_several_labs_add_up() -> None:
    """Cells, actions and what is wrong add up; combinations without a cell are listed once."""
    left = {"cells": 3, "case": "rootless", "why": "it is refused"}
    one = Outcome(2, 30, 1, [{"cell": "a"}], [left, {"cell": "a", "action": "x", "why": "y"}], 5)
    other = Outcome(1, 15, 1, [{"cell": "b"}], [left, {"cell": "b", "action": "x", "why": "y"}], 7)
    one.add(other)
    assert (one.cells, one.actions, one.in_containers, one.seconds) == (3, 45, 2, 7)
    assert [wrong["cell"] for wrong in one.disagreements] == ["a", "b"]
    assert one.not_run.count(left) == 1
    assert [each["cell"] for each in one.not_run if "action" in each] == ["a", "b"]
