"""A dry run predicts later changes, although each operation reads the machine before earlier ones change it.

Another source reaches a host in place as long as the role has started no service there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fake.deploy import Outcome, deploy, fleet, replies
from tests.fake.kinds import KINDS, SECRET

HOST = "@fake/squash"
DATA = fleet(squash=KINDS["squash"])


def unstarted(data: Any = DATA) -> dict[str, Any]:
    """Return the reply about a service that no start of the role has noted."""
    return {**replies(data, "finished")[HOST]["service.state"], "outdated": None}


def dry(tmp_path: Path, fact: str, **differs: Any) -> tuple[list[str], Outcome]:
    """Return the operations that would change a finished host with one difference, and the run."""
    document = {**replies(DATA, "finished")[HOST][fact], **differs}
    facts = {fact: document, **({"service.state": unstarted()} if "desired" in differs else {})}
    run = deploy(tmp_path, DATA, "finished", "--dry", instead={HOST: facts})
    return [name.rpartition("| ")[2] for name in run.changed(HOST)], run


def test_new_source_is_built_and_restarts_the_service(tmp_path: Path) -> None:
    changes, run = dry(tmp_path, "source.checkout", desired="d1" * 20)
    assert changes == ["Check out NanoClaw", "Build NanoClaw", "Get the agent image", "Run NanoClaw as a service"]
    assert "is built again if container/ differs in the source that" in run.log
    assert "is known once it is fetched" in run.log
    assert run.commands(HOST) == []


def test_source_with_the_same_container_keeps_the_image(tmp_path: Path) -> None:
    version = {**replies(DATA, "finished")[HOST]["source.checkout"]["version"], "container_changed": False}
    changes, _run = dry(tmp_path, "source.checkout", desired="d1" * 20, version=version)
    assert changes == ["Check out NanoClaw", "Build NanoClaw", "Run NanoClaw as a service"]


@pytest.mark.parametrize(("uid", "alone"), [(0, []), (1000, []), (33, ["Set .env and close it"])])
def test_only_the_checkout_predicts_its_chown(tmp_path: Path, uid: int, alone: list[str]) -> None:
    """The checkout chowns itself, .env and the logs to the new host user, but no files of others."""
    finished = replies(DATA, "finished")[HOST]
    env = {**finished["service.env_state"], "places": {**finished["service.env_state"]["places"]}}
    env["places"]["/opt/nanoclaw/.env"] = {"kind": "file", "uid": uid, "gid": uid, "mode": "0600"}
    logs = {path: {**place, "uid": 0, "gid": 0} for path, place in finished["service.state"]["logs"].items()}
    checkout = {**finished["source.checkout"], "owners": {".": [0, 0], "data": [0, 0], ".git": [0, 0]}}
    service = {**finished["service.state"], "logs": logs}
    facts = {"source.checkout": checkout, "service.env_state": env, "service.state": service}
    run = deploy(tmp_path, DATA, "finished", "--dry", instead={HOST: facts})
    assert [name.rpartition("| ")[2] for name in run.changed(HOST)] == ["Check out NanoClaw", *alone]


def test_new_entry_in_env_restarts_the_service(tmp_path: Path) -> None:
    changes, run = dry(tmp_path, "service.env_state", digests={})
    assert changes == ["Set .env and close it", "Run NanoClaw as a service"]
    assert run.log.count(".env: TZ differs") == 1


def test_new_mode_of_env_restarts_nothing(tmp_path: Path) -> None:
    places = {f"/opt/nanoclaw/{name}": {"kind": "absent"} for name in ("data/env", "data/env/env")}
    file = {"kind": "file", "uid": 1000, "gid": 1000, "mode": "0644"}
    changes, _run = dry(tmp_path, "service.env_state", places={**places, "/opt/nanoclaw/.env": file})
    assert changes == ["Set .env and close it"]


def test_restored_database_restarts_the_service(tmp_path: Path) -> None:
    needs = {"version": "2.0.64", "node": None, "sqlite": 11, "api": False, "gateway": False, "marker": False}
    copy = {"file": "c0c0.db", "version": "2.0.64", "made": 1.0}
    state = {"there": True, "error": "", "newer": ["instance"], "copy": copy}
    finished = replies(DATA, "finished")[HOST]["source.checkout"]
    document = {**finished, "version": {**finished["version"], "needs": needs, "database": state}}
    data = {**DATA, HOST: {**DATA[HOST], "nanoclaw_newer_database": "restore"}}
    run = deploy(tmp_path, data, "finished", "--dry", instead={HOST: {"source.checkout": document}})
    changed = [name.rpartition("| ")[2] for name in run.changed(HOST)]
    assert changed == ["Check out NanoClaw", "Run NanoClaw as a service"]


def test_gateway_and_channels_are_applied_after_a_new_source(tmp_path: Path) -> None:
    """Each move undoes them. The key of the gateway's server is in no output."""
    settings = {"nanoclaw_gateway": "onecli", "nanoclaw_gateway_server": "http://10.0.0.9:10254"}
    secret = {"nanoclaw_env": {"ONECLI_API_KEY": SECRET}}
    data = {**DATA, HOST: {**DATA[HOST], **settings, **secret, "nanoclaw_channels": ["telegram"]}}
    finished = replies(data, "finished")[HOST]["source.checkout"]
    needs = {"version": "2.4.0", "node": None, "sqlite": 11, "api": False, "gateway": True, "marker": True}
    applied = {
        "commit": finished["commit"],
        "gateway": "onecli",
        "server": "http://10.0.0.9:10254",
        "channels": ["telegram"],
        "complete": True,
    }
    version = {**finished["version"], "needs": {**needs, "skills": ["onecli", "telegram"]}, "container_changed": False}
    settled = {**finished, "version": {**version, "applied": applied}}
    run = deploy(tmp_path, data, "finished", "--dry", instead={HOST: {"source.checkout": settled}})
    assert run.changed(HOST) == []
    moves = {**settled, "desired": "d1" * 20}
    facts = {"source.checkout": moves, "service.state": unstarted(data)}
    run = deploy(tmp_path, data, "finished", "--dry", "--diff", instead={HOST: facts})
    changed = [name.rpartition("| ")[2] for name in run.changed(HOST)]
    apply = "Apply the gateway and the channels"
    assert changed == ["Check out NanoClaw", "Build NanoClaw", apply, "Run NanoClaw as a service"]
    assert SECRET not in run.log
    new = {**finished, "version": version}
    run = deploy(
        tmp_path,
        data,
        "finished",
        "-y",
        "-vvv",
        "--diff",
        instead={HOST: {"source.checkout": new}},
        then={HOST: {"source.checkout": settled}},
    )
    assert "source.apply_skills" in run.commands(HOST), run.log
    assert SECRET not in run.log
