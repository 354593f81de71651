"""What several files of tests need."""

from __future__ import annotations

import inspect
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings

from tasks import report
from tasks.model.fleet.plan import HostPlan
from tasks.operations import dry_run as foresight
from tests.fixtures.driver import short
from tests.lab.standin import make_repository
from tests.unit.source.source_host import Host
from tests.unit.v1.v1_migrated import Migrated, at, whole

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")  # how long a machine takes says nothing about a law

Execute = Callable[[Any, list[Any], HostPlan], list[str]]


@pytest.fixture
def execute(monkeypatch: pytest.MonkeyPatch) -> Execute:
    """Executes an operation on a machine that answers one state after the other; gives the commands' short forms."""

    def execute(operation: Any, states: list[Any], plan: HostPlan) -> list[str]:
        commands_of, answers = operation._inner.__wrapped__, iter(states)
        module = inspect.getmodule(commands_of)
        state = SimpleNamespace(is_executing=True, check_for_changes=True, config=SimpleNamespace(DIFF=False))
        for place in (module, foresight, report):
            monkeypatch.setattr(place, "state", state, raising=False)
        host = SimpleNamespace(noop=lambda _why: None, log=lambda _line: None)
        for place in (module, report):
            monkeypatch.setattr(place, "host", host)
        monkeypatch.setattr(module, "read_state", lambda *_args, **_named: next(answers))
        commands = [short(command) for command in commands_of(plan)]
        assert next(answers, None) is None
        return commands

    return execute


@pytest.fixture
def no_umask() -> Iterator[None]:
    """What is created has the rights that are stated, and nothing hides one that was forgotten."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture(params=["000", "077"])
def any_umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """Umasks that a session of root may have."""
    before = os.umask(int(request.param, 8))
    yield
    os.umask(before)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    make_repository(tmp_path / "remote.git")
    return Host(tmp_path / "root", tmp_path / "remote.git")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "ag" / "sess" / "outbox").mkdir(parents=True)
    (root / "ag" / "sess" / "outbound.db").write_bytes(b"")
    return root


@pytest.fixture(scope="session")
def whole_migration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("migration")
    whole(place)
    return place


@pytest.fixture
def it(tmp_path: Path, whole_migration: Path) -> Migrated:
    """A migration of all that a v1 can have, to be broken."""
    subprocess.run(["cp", "--archive", f"{whole_migration}/.", tmp_path], check=True)
    return at(tmp_path)
