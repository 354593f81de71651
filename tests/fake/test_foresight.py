"""A dry run says what follows from what: each operation looks before the ones ahead of it have changed anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.fake.deploy import Outcome, answers, deploy, fleet
from tests.fake.kinds import KINDS

HOST = "@fake/squash"
DATA = fleet(squash=KINDS["squash"])


def dry(tmp_path: Path, fact: str, **differs: Any) -> tuple[list[str], Outcome]:
    """The operations that would change a finished host of which one thing differs, and the run."""
    document = {**answers(DATA, "finished")[HOST][fact], **differs}
    run = deploy(tmp_path, DATA, "finished", "--dry", instead={HOST: {fact: document}})
    return [name.rpartition("| ")[2] for name in run.changed(HOST)], run


def test_a_new_source_is_built_and_restarts_the_service(tmp_path: Path) -> None:
    changes, run = dry(tmp_path, "checkout", wanted="d1" * 20)
    assert changes == ["Check out NanoClaw", "Build NanoClaw", "Get the agent image", "Run NanoClaw as a service"]
    assert "is built again if container/ is another one" in run.log
    assert run.commands(HOST) == []


def test_a_new_entry_of_env_restarts_the_service(tmp_path: Path) -> None:
    changes, run = dry(tmp_path, "env_files", digests={})
    assert changes == ["Set .env and close it", "Run NanoClaw as a service"]
    assert run.log.count(".env: TZ differs") == 1


def test_closing_env_restarts_nothing(tmp_path: Path) -> None:
    places = {f"/opt/nanoclaw/{name}": {"kind": "absent"} for name in ("data/env", "data/env/env")}
    file = {"kind": "file", "uid": 1000, "gid": 1000, "mode": "0644"}
    changes, _run = dry(tmp_path, "env_files", places={**places, "/opt/nanoclaw/.env": file})
    assert changes == ["Set .env and close it"]
