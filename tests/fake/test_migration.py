"""A host with a NanoClaw v1: a dry run prints its plan; a run stages v2, then switches in waves."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from files.pods.v1.v1_state import Candidate
from tests.fake.deploy import FROM_THE_ROLE, Outcome, Start, deploy, fleet, replies
from tests.unit.v1.v1_states import INSTALL, PATH, UNIT, v1_state

V1, BARE = "@fake/v1", "@fake/bare"
DATA = fleet(v1={"nanoclaw_v1_dir": PATH}, bare={})


NEW = {"journal": None, "under_way": False, "decided": False, "recorded": False, "v2_has_state": False}
_HEAD = {
    "host": V1,
    "v1": PATH,
    "root": "/opt/nanoclaw",
    "unit": "u",
    "chats": "",
    "versions": {"v1": "1.2.53", "v2": "v2.0.64"},
}
_STEP = {"id": "stop-v1", "name": "stop v1", "state": "done", "started": 10.0, "ended": 12.0, "output": "{}"}
_JOURNAL = {
    **_HEAD,
    "attempt": 1,
    "state": "finished",
    "steps": [_STEP],
    "stopped": 10.0,
    "serving": 40.0,
    "aside": False,
}
DONE = {"journal": _JOURNAL, "under_way": False, "decided": True, "recorded": False, "v2_has_state": True}


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The list of hosts left is written where the run starts."""
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
    current = {"v1.inspect": asdict(state or v1_state()), "transition.state": progress or NEW}
    hosts = [name for name, settings in data.items() if "nanoclaw_v1_dir" in settings]
    before = {name: current for name in hosts}
    ended = {**DONE, "recorded": True}
    if any(settings.get("nanoclaw_v1_rollback") for settings in data.values()):
        ended |= {"journal": {**_JOURNAL, "state": "rolled back"}, "decided": False}
    after = {name: {"transition.state": ended} for name in hosts if name not in failing}
    return deploy(tmp_path, data, "finished", *arguments, instead=before, then=after, start=start)


def test_dry_run_prints_the_plan_of_each_host_with_a_v1(tmp_path: Path) -> None:
    dry = run(tmp_path, "--dry")
    assert dry.exit == 0, dry.log
    assert f"{V1}: NanoClaw v1 1.2.53 in {PATH}, of andy (1001:1001), user unit nanoclaw.service" in dry.log
    assert dry.log.count(f"    {V1}: plan of its migration to v2:\n") == 1
    assert f"{V1}: migrated by NanoClaw's own steps: 2 groups" in dry.log
    assert f"{V1}: fixed up by this role: times, owners and modes of all copied files" in dry.log
    assert f"{V1}: skipped: old messages" in dry.log
    assert f"{BARE}: NanoClaw v1" not in dry.log
    assert dry.facts(V1).count("v1.inspect") == 1 and "v1.inspect" not in dry.facts(BARE)
    assert dry.commands(V1) == []


def test_run_stages_and_switches_without_starting_v2_itself(tmp_path: Path) -> None:
    real = run(tmp_path, "-y")
    assert real.exit == 0, real.log
    parts = ("Install the channels of v1", "Stage v2 beside v1", "Switch to v2, wave 1")
    names = [f"Migration | {part}" for part in parts]
    assert [name for name in real.changed(V1) if name.startswith("Migration")] == names
    assert [name for name in real.operations(BARE) if name.startswith("Migration")] == []
    assert [name for name in real.commands(V1) if name.startswith(("install", "transition", "start", "write"))] == [
        "transition.install_channels",
        "transition.start",
        "transition.start",
    ]
    assert (tmp_path / "left.txt").read_text() == ""


def test_v2_is_built_again_after_its_channels_and_before_staging(tmp_path: Path) -> None:
    """A channel changes package.json: what was built before would lack it."""
    checkout = {**replies(DATA, "finished")[V1]["source.checkout"], "built": None}
    real = deploy(
        tmp_path,
        DATA,
        "finished",
        "-y",
        instead={V1: {"v1.inspect": asdict(v1_state()), "transition.state": NEW, "source.checkout": checkout}},
        then={V1: {"transition.state": DONE, "source.checkout": replies(DATA, "finished")[V1]["source.checkout"]}},
    )
    assert real.exit == 0, real.log
    build, programs = (
        "Build NanoClaw with its channels",
        ("source.build", "transition.install_channels", "transition.start"),
    )
    assert f"Migration | {build}" in real.changed(V1)
    assert [name for name in real.commands(V1) if name in programs] == [
        "source.build",
        "transition.install_channels",
        "source.build",
        "transition.start",
        "transition.start",
    ]


def test_hosts_switch_in_waves_until_one_fails(tmp_path: Path) -> None:
    names = [f"@fake/{name}" for name in "abcdef"]
    data = fleet(**{name: {"nanoclaw_v1_dir": PATH, "nanoclaw_batch": 2} for name in "abcdef"})
    data["@fake/d"]["nanoclaw_canary"] = True
    real = run(tmp_path, "-y", data=data, failing=("@fake/b",))
    assert "    wave 1 of the migration: @fake/d\n" in real.log
    assert "    wave 2 of the migration: @fake/a, @fake/b\n" in real.log
    switched = {name: [op for op in real.changed(name) if "Switch" in op] for name in names}
    assert switched["@fake/d"] == ["Migration | Switch to v2, wave 1"]
    assert switched["@fake/a"] == ["Migration | Switch to v2, wave 2"]
    assert switched["@fake/c"] == switched["@fake/e"] == switched["@fake/f"] == []
    assert (tmp_path / "left.txt").read_text().split() == ["@fake/b", "@fake/c", "@fake/e", "@fake/f"]


def test_migrated_host_is_unchanged(tmp_path: Path) -> None:
    again = run(tmp_path, "-y", progress={**DONE, "recorded": True})
    assert again.exit == 0, again.log
    assert again.commands(V1) == [] and "plan of its migration" not in again.log
    assert not (tmp_path / "left.txt").exists()


def test_unrecorded_finished_migration_is_recorded_and_off_the_list(tmp_path: Path) -> None:
    (tmp_path / "left.txt").write_text(f"{V1}\n@fake/other\n")
    dry = run(tmp_path, "--dry", progress=DONE)
    assert dry.changed(V1) == ["Migration | Keep the record of the migration"]
    assert (tmp_path / "left.txt").read_text().split() == [V1, "@fake/other"]
    again = run(tmp_path, "-y", progress=DONE)
    assert again.changed(V1) == ["Migration | Keep the record of the migration"]
    assert again.commands(V1) == ["machine.write_file", "machine.write_file"]
    assert (tmp_path / "left.txt").read_text().split() == ["@fake/other"]


def test_host_rolls_back_if_its_data_says_so(tmp_path: Path) -> None:
    data = fleet(v1={"nanoclaw_v1_dir": PATH, "nanoclaw_v1_rollback": True}, bare={})
    back = run(tmp_path, "-y", data=data, progress=DONE)
    assert back.exit == 0, back.log
    assert back.operations(V1) == ["Rollback | Stop v2 and start v1", "Migration | Keep the record of the migration"]
    assert back.commands(V1) == ["transition.roll_back_to_v1", "machine.write_file", "machine.write_file"]


def test_rollback_is_refused_without_a_service_for_v1(tmp_path: Path) -> None:
    data = fleet(v1={"nanoclaw_v1_dir": PATH, "nanoclaw_v1_rollback": True}, bare={})
    gone = v1_state(replace(INSTALL, units=[], processes=[]))
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
def test_state_of_the_machine_can_refuse_a_migration(tmp_path: Path, progress: Any, says: str) -> None:
    refused = run(tmp_path, "-y", progress=progress)
    assert refused.exit != 0 and says in refused.log and "nothing was changed, because:" in refused.log
    assert not any(refused.commands(name) for name in (V1, BARE))


def test_run_limited_to_other_hosts_succeeds(tmp_path: Path) -> None:
    others = run(tmp_path, "-y", "--limit", BARE)
    assert others.exit == 0, others.log
    assert others.sent[V1] == []


def test_refusal_ends_a_dry_run_after_the_plans(tmp_path: Path) -> None:
    both = replace(INSTALL, units=[UNIT, replace(UNIT, manager="system", uid=0, file="/etc/systemd/system/n.service")])
    refused = run(tmp_path, "--dry", state=v1_state(both))
    assert refused.exit != 0
    assert f"{V1}: migrated by NanoClaw's own steps: 2 groups" in refused.log
    assert f"{V1}: nanoclaw_v1_dir: 2 services run it" in refused.log


def test_several_v1_installs_are_refused_with_a_list(tmp_path: Path) -> None:
    candidates = [Candidate(f"/opt/{name}", ["beside /opt/nanoclaw"], "v1") for name in ("a", "b")]
    data = fleet(v1={"nanoclaw_v1_dir": "auto"}, bare={})
    refused = run(tmp_path, "--dry", data=data, state=v1_state(None, candidates=candidates))
    assert refused.exit != 0
    assert "several installs of NanoClaw v1 were found, /opt/a (beside /opt/nanoclaw), /opt/b" in refused.log


def test_host_with_a_malformed_reply_is_refused(tmp_path: Path) -> None:
    refused = deploy(tmp_path, DATA, "finished", "--dry", instead={V1: {"v1.inspect": {}, "transition.state": NEW}})
    assert refused.exit != 0
    assert f"{V1}: nanoclaw_v1_dir: the inspection of NanoClaw v1 failed" in refused.log
