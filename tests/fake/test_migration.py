"""A host with a NanoClaw v1: a dry run prints its plan, another run is refused before anything is sent."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from tasks.model.migration.found import Candidate
from tests.fake.deploy import Outcome, deploy, fleet
from tests.unit.v1_found import INSTALL, PATH, UNIT, found

V1, BARE = "@fake/v1", "@fake/bare"
DATA = fleet(v1={"nanoclaw_v1_dir": PATH}, bare={})


def run(tmp_path: Path, *arguments: str, data: Any = DATA, state: Any = None) -> Outcome:
    answer = asdict(state or found())
    return deploy(tmp_path, data, "finished", *arguments, instead={V1: {"v1_install": answer}})


def test_a_dry_run_prints_the_plan_of_each_host_that_has_the_setting(tmp_path: Path) -> None:
    dry = run(tmp_path, "--dry")
    assert dry.exit == 0, dry.log
    assert f"{V1}: NanoClaw v1 1.2.53 in {PATH}, of andy (1001:1001), user unit nanoclaw.service" in dry.log
    assert dry.log.count(f"{V1}: plan of a migration, which this release does not carry out:") == 1
    assert f"{V1}: carried over by NanoClaw's own steps: 2 groups" in dry.log
    assert f"{V1}: the migration has to see to: times, owners and rights of all copied files" in dry.log
    assert f"{V1}: not carried over: old messages" in dry.log
    assert f"{BARE}: NanoClaw v1" not in dry.log
    assert dry.facts(V1).count("v1_install") == 1 and "v1_install" not in dry.facts(BARE)
    assert dry.commands(V1) == []


@pytest.mark.parametrize("arguments", [("-y",), ("-y", "--limit", V1)])
def test_a_run_that_would_migrate_is_refused_before_anything_is_sent(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    refused = run(tmp_path, *arguments)
    assert refused.exit != 0
    assert "nothing was changed, because:" in refused.log and "Traceback" not in refused.log
    assert f"{V1}: nanoclaw_v1_dir: this release plans the migration" in refused.log
    assert "run with --dry to see the plan, or leave nanoclaw_v1_dir out" in refused.log
    assert f"{BARE}: nanoclaw_v1_dir" not in refused.log
    assert not any(refused.sent.values())


def test_a_run_that_is_limited_to_other_hosts_goes_on(tmp_path: Path) -> None:
    others = run(tmp_path, "-y", "--limit", BARE)
    assert others.exit == 0, others.log
    assert others.sent[V1] == []


def test_what_stands_in_the_way_ends_a_dry_run_after_the_plans(tmp_path: Path) -> None:
    both = replace(INSTALL, units=[UNIT, replace(UNIT, manager="system", uid=0, file="/etc/systemd/system/n.service")])
    refused = run(tmp_path, "--dry", state=found(both))
    assert refused.exit != 0
    assert f"{V1}: carried over by NanoClaw's own steps: 2 groups" in refused.log
    assert f"{V1}: nanoclaw_v1_dir: 2 services run it" in refused.log


def test_several_finds_are_refused_with_the_list(tmp_path: Path) -> None:
    candidates = [Candidate(f"/opt/{name}", ["beside /opt/nanoclaw"], "v1") for name in ("a", "b")]
    data = fleet(v1={"nanoclaw_v1_dir": "auto"}, bare={})
    refused = run(tmp_path, "--dry", data=data, state=found(None, candidates=candidates))
    assert refused.exit != 0
    assert "several installs of NanoClaw v1 were found, /opt/a (beside /opt/nanoclaw), /opt/b" in refused.log


def test_a_host_that_answers_nonsense_is_refused(tmp_path: Path) -> None:
    refused = deploy(tmp_path, DATA, "finished", "--dry", instead={V1: {"v1_install": {}}})
    assert refused.exit != 0
    assert f"{V1}: nanoclaw_v1_dir: did not say what it has of NanoClaw v1" in refused.log
