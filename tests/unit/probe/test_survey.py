"""The survey of what exists, while what exists changes."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from files.pods.common.run_as_ids import ROOT, run_as
from files.pods.probe import timeouts
from files.pods.probe.survey import Survey
from tests.unit.trees.trees import A, needs_root

Real = Callable[..., Any]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two sessions and two groups; of each, `later` is somebody else's."""
    for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o755)
    for name in ("first", "later"):
        for path in (tmp_path / "sessions" / "ag" / name, tmp_path / "groups" / name):
            path.mkdir(parents=True)
            path.chmod(0o755)
        (tmp_path / "sessions" / "ag" / name / "outbound.db").touch()
    for path in (*tmp_path.rglob("first"), *tmp_path.rglob("first/outbound.db")):
        os.chown(path, A, A)
    return tmp_path


def survey(tree: Path, name: str = "", instead: Callable[[Real], Real] | None = None) -> dict[str, Any]:
    """What a survey answers in a process in which a function of os is another one."""

    def read() -> dict[str, Any]:
        if instead:
            setattr(os, name, instead(getattr(os, name)))
        return asdict(Survey((A, A)).read(str(tree / "sessions"), str(tree / "groups")))

    return run_as(ROOT, 20, read)


def stale_in(path: str, number: int) -> Callable[[Real], Real]:
    """A function that fails on what lies in a directory of that name, as NFS does where another machine removed it."""

    def broken(real: Real) -> Real:
        def function(what: Any, *args: Any, **more: Any) -> Any:
            where = Path(f"/proc/self/fd/{what}").readlink() if isinstance(what, int) else Path.cwd()
            if where.name == path:
                raise OSError(number, os.strerror(number))
            return real(what, *args, **more)

        return function

    return broken


@needs_root
def test_all_that_is_refused_is_counted(tree: Path) -> None:
    value = survey(tree)["value"]
    assert (value["sessions"], value["groups"], value["refused"]) == (2, 2, 3)


@needs_root
@pytest.mark.parametrize("number", [errno.ENOENT, errno.ESTALE])
@pytest.mark.parametrize(
    ("function", "sessions", "groups", "refused"), [("listdir", 1, 2, 1), ("fchdir", 1, 1, 0), ("stat", 1, 1, 0)]
)
def test_what_vanishes_is_passed_over(
    tree: Path, function: str, number: int, sessions: int, groups: int, refused: int
) -> None:
    value = survey(tree, function, stale_in("later", number))["value"]
    assert (value["sessions"], value["groups"], value["refused"]) == (sessions, groups, refused)


@needs_root
def test_a_directory_of_sessions_that_vanishes_is_passed_over(tree: Path) -> None:
    def remove_all(real: Real) -> Real:
        def listdir(what: Any) -> Any:
            shutil.rmtree(tree / "sessions" / "ag")
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

        return listdir

    assert survey(tree, "listdir", remove_all)["value"]["sessions"] == 0
    assert survey(tree, "scandir", stale_in("ag", errno.ESTALE))["value"]["groups"] == 2


@needs_root
def test_another_error_is_no_vanishing(tree: Path) -> None:
    assert survey(tree, "listdir", stale_in("later", errno.EIO))["error"] == "EIO"


@needs_root
def test_sessions_without_end_are_read_for_a_time(tree: Path) -> None:
    """Else an agent that adds sessions has the server called silent."""
    assert survey(tree)["value"]["complete"] is True
    trees = str(tree / "sessions"), str(tree / "groups")
    ended = run_as(ROOT, 20, lambda: asdict(Survey((A, A), seconds=0).read(*trees)))
    assert (ended["value"]["complete"], ended["value"]["sessions"], ended["value"]["groups"]) == (False, 0, 0)


@needs_root
def test_journals_without_end_are_a_short_answer(tree: Path) -> None:
    for number in range(1200):
        session = tree / "sessions" / "ag" / f"s{number}"
        session.mkdir()
        for name in ("outbound.db", "outbound.db-journal"):
            (session / name).write_text("x")
    assert len(survey(tree)["value"]["journals"]) == 1000


def test_survey_reports_before_its_timeout() -> None:
    assert timeouts.SURVEY_END + timeouts.STEP <= timeouts.SURVEY


def test_probe_and_its_repetition_end_before_its_timeout() -> None:
    once = timeouts.CONTAINER + timeouts.SURVEY + timeouts.HOT_JOURNAL + timeouts.GUARD + 2 * timeouts.STEP
    assert 2 * once <= timeouts.WHOLE_PROBE
