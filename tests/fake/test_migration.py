"""A host with a NanoClaw v1: a dry run prints its plan; a run makes v2 ready, then switches, wave after wave."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from tasks.model.migration.v1_state import Candidate
from tests.fake.deploy import FROM_THE_ROLE, Outcome, Start, answers, deploy, fleet
from tests.unit.v1.v1_found import INSTALL, PATH, UNIT, found

V1, BARE = "@fake/v1", "@fake/bare"
DATA = fleet(v1={"nanoclaw_v1_dir": PATH}, bare={})


NEW = {"journal": None, "under_way": False, "decided": False, "recorded": False, "v2_has_state": False}
_HEAD = {"host": V1, "v1": PATH, "root": "/opt/nanoclaw", "unit": "u", "versions": {"v1": "1.2.53", "v2": "v2.0.64"}}
_STEP = {"id": "stop-v1", "name": "stop v1", "state": "done", "started": 10.0, "ended": 12.0, "said": "{}"}
_JOURNAL = {**_HEAD, "attempt": 1, "state": "finished", "steps": [_STEP], "stopped": 10.0, "serving": 40.0}
DONE = {"journal": _JOURNAL, "under_way": False, "decided": True, "recorded": False, "v2_has_state": True}


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The list of the hosts that are left is written where the run is started."""
    monkeypatch.setenv("NANOCLAW_PODS_LEFT", str(tmp_path / "left.txt"))


def run(
    tmp_path: Path,
    *arguments: str,
    data: Any = DATA,
    state: Any = None,
    progress: Any = None,
    failing: tuple[str, ...] = (),
    start: Start = FROM_THE_ROLE,
) -> Outcome:
    seen = {"v1.inspect": asdict(state or found()), "migration.state": progress or NEW}
    hosts = [name for name, settings in data.items() if "nanoclaw_v1_dir" in settings]
    before = {name: seen for name in hosts}
    ended = {**DONE, "recorded": True}
    if any(settings.get("nanoclaw_v1_rollback") for settings in data.values()):
        ended |= {"journal": {**_JOURNAL, "state": "rolled back"}, "decided": False}
    after = {name: {"migration.state": ended} for name in hosts if name not in failing}
    return deploy(tmp_path, data, "finished", *arguments, instead=before, then=after, start=start)


def test_a_dry_run_prints_the_plan_of_each_host_that_has_the_setting(tmp_path: Path) -> None:
    dry = run(tmp_path, "--dry")
    assert dry.exit == 0, dry.log
    assert f"{V1}: NanoClaw v1 1.2.53 in {PATH}, of andy (1001:1001), user unit nanoclaw.service" in dry.log
    assert dry.log.count(f"{V1}: plan of its migration to v2:") == 1
    assert f"{V1}: migrated by NanoClaw's own steps: 2 groups" in dry.log
    assert f"{V1}: fixed up by this role: times, owners and modes of all copied files" in dry.log
    assert f"{V1}: skipped: old messages" in dry.log
    assert f"{BARE}: NanoClaw v1" not in dry.log
    assert dry.facts(V1).count("v1.inspect") == 1 and "v1.inspect" not in dry.facts(BARE)
    assert dry.commands(V1) == []


def test_a_run_makes_v2_ready_and_switches_without_starting_v2_itself(tmp_path: Path) -> None:
    real = run(tmp_path, "-y")
    assert real.exit == 0, real.log
    parts = ("Install the channels of v1", "Stage v2 beside v1", "Switch to v2, wave 1")
    names = [f"Migration | {part}" for part in parts]
    assert [name for name in real.changed(V1) if name.startswith("Migration")] == names
    assert [name for name in real.operations(BARE) if name.startswith("Migration")] == []
    assert [name for name in real.commands(V1) if name.startswith(("install", "migration", "start", "write"))] == [
        "migration.install_channels",
        "migration.start",
        "migration.start",
    ]
    assert (tmp_path / "left.txt").read_text() == ""


def test_v2_is_built_again_after_its_channels_and_before_it_is_made_ready(tmp_path: Path) -> None:
    """A channel changes package.json: what was built before would lack it."""
    checkout = {**answers(DATA, "finished")[V1]["source.checkout"], "built": None}
    real = deploy(
        tmp_path,
        DATA,
        "finished",
        "-y",
        instead={V1: {"v1.inspect": asdict(found()), "migration.state": NEW, "source.checkout": checkout}},
        then={V1: {"migration.state": DONE, "source.checkout": answers(DATA, "finished")[V1]["source.checkout"]}},
    )
    assert real.exit == 0, real.log
    build, wanted = (
        "Build NanoClaw with its channels",
        ("source.build", "migration.install_channels", "migration.start"),
    )
    assert f"Migration | {build}" in real.changed(V1)
    assert [name for name in real.commands(V1) if name in wanted] == [
        "source.build",
        "migration.install_channels",
        "source.build",
        "migration.start",
        "migration.start",
    ]


def test_the_hosts_go_in_waves_and_a_failure_ends_them(tmp_path: Path) -> None:
    names = [f"@fake/{name}" for name in "abcdef"]
    data = fleet(**{name: {"nanoclaw_v1_dir": PATH, "nanoclaw_v1_batch": 2} for name in "abcdef"})
    data["@fake/d"]["nanoclaw_v1_canary"] = True
    real = run(tmp_path, "-y", data=data, failing=("@fake/b",))
    assert "wave 1 of the migration: @fake/d" in real.log and "wave 2 of the migration: @fake/a, @fake/b" in real.log
    switched = {name: [op for op in real.changed(name) if "Switch" in op] for name in names}
    assert switched["@fake/d"] == ["Migration | Switch to v2, wave 1"]
    assert switched["@fake/a"] == ["Migration | Switch to v2, wave 2"]
    assert switched["@fake/c"] == switched["@fake/e"] == switched["@fake/f"] == []
    assert (tmp_path / "left.txt").read_text().split() == ["@fake/b", "@fake/c", "@fake/e", "@fake/f"]


def test_a_host_that_is_migrated_is_right(tmp_path: Path) -> None:
    again = run(tmp_path, "-y", progress={**DONE, "recorded": True})
    assert again.exit == 0, again.log
    assert again.commands(V1) == [] and "plan of its migration" not in again.log
    assert not (tmp_path / "left.txt").exists()


def test_a_migration_whose_end_no_run_has_seen_is_recorded_and_off_the_list(tmp_path: Path) -> None:
    (tmp_path / "left.txt").write_text(f"{V1}\n@fake/other\n")
    dry = run(tmp_path, "--dry", progress=DONE)
    assert dry.changed(V1) == ["Migration | Keep the record of the migration"]
    assert (tmp_path / "left.txt").read_text().split() == [V1, "@fake/other"]
    again = run(tmp_path, "-y", progress=DONE)
    assert again.changed(V1) == ["Migration | Keep the record of the migration"]
    assert again.commands(V1) == ["machine.write_file", "machine.write_file"]
    assert (tmp_path / "left.txt").read_text().split() == ["@fake/other"]


def test_a_host_goes_back_when_its_data_says_so(tmp_path: Path) -> None:
    data = fleet(v1={"nanoclaw_v1_dir": PATH, "nanoclaw_v1_rollback": True}, bare={})
    back = run(tmp_path, "-y", data=data, progress=DONE)
    assert back.exit == 0, back.log
    assert back.operations(V1) == ["Rollback | Stop v2 and start v1", "Migration | Keep the record of the migration"]
    assert back.commands(V1) == ["migration.rollback", "machine.write_file", "machine.write_file"]


def test_v2_is_not_stopped_for_a_v1_that_nothing_starts(tmp_path: Path) -> None:
    data = fleet(v1={"nanoclaw_v1_dir": PATH, "nanoclaw_v1_rollback": True}, bare={})
    gone = found(replace(INSTALL, units=[], processes=[]))
    refused = run(tmp_path, "-y", data=data, progress=DONE, state=gone)
    assert refused.exit != 0 and "a rollback needs one service that runs v1" in refused.log
    assert refused.commands(V1) == []
    never = run(tmp_path, "-y", data=data, progress=NEW, state=gone)
    assert "a rollback needs one service" not in never.log


@pytest.mark.parametrize(
    ("progress", "says"),
    [
        ({**NEW, "under_way": True}, "a migration is under way on this machine: wait for its end"),
        ({**NEW, "v2_has_state": True}, "has been used already, and a v1 is not merged into it: set nanoclaw_root"),
    ],
)
def test_what_the_machine_has_stands_in_the_way(tmp_path: Path, progress: Any, says: str) -> None:
    refused = run(tmp_path, "-y", progress=progress)
    assert refused.exit != 0 and says in refused.log and "nothing was changed, because:" in refused.log
    assert not any(refused.commands(name) for name in (V1, BARE))


def test_a_run_that_is_limited_to_other_hosts_goes_on(tmp_path: Path) -> None:
    others = run(tmp_path, "-y", "--limit", BARE)
    assert others.exit == 0, others.log
    assert others.sent[V1] == []


def test_what_stands_in_the_way_ends_a_dry_run_after_the_plans(tmp_path: Path) -> None:
    both = replace(INSTALL, units=[UNIT, replace(UNIT, manager="system", uid=0, file="/etc/systemd/system/n.service")])
    refused = run(tmp_path, "--dry", state=found(both))
    assert refused.exit != 0
    assert f"{V1}: migrated by NanoClaw's own steps: 2 groups" in refused.log
    assert f"{V1}: nanoclaw_v1_dir: 2 services run it" in refused.log


def test_several_finds_are_refused_with_the_list(tmp_path: Path) -> None:
    candidates = [Candidate(f"/opt/{name}", ["beside /opt/nanoclaw"], "v1") for name in ("a", "b")]
    data = fleet(v1={"nanoclaw_v1_dir": "auto"}, bare={})
    refused = run(tmp_path, "--dry", data=data, state=found(None, candidates=candidates))
    assert refused.exit != 0
    assert "several installs of NanoClaw v1 were found, /opt/a (beside /opt/nanoclaw), /opt/b" in refused.log


def test_a_host_that_answers_nonsense_is_refused(tmp_path: Path) -> None:
    refused = deploy(tmp_path, DATA, "finished", "--dry", instead={V1: {"v1.inspect": {}, "migration.state": NEW}})
    assert refused.exit != 0
    assert f"{V1}: nanoclaw_v1_dir: the inspection of NanoClaw v1 failed" in refused.log
