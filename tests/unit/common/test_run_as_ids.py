"""A function in a child with other ids: its value or its error, in time, and nothing of its parent's rights."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from files.pods.common.run_as_ids import ROOT, run_as
from files.pods.service import v2_installs
from tests.unit.trees.trees import A, needs_root

pytestmark = needs_root


def fail(error: BaseException) -> Any:
    raise error


def test_child_has_only_the_ids_and_groups_of_its_call() -> None:
    os.umask(before := os.umask(0o077))
    try:
        os.umask(0o077)
        ids = run_as((A, A + 1), 20, lambda: [os.getresuid(), os.getresgid(), os.getgroups(), os.umask(0)])
        assert ids == {"value": [[A] * 3, [A + 1] * 3, [], 0o022]}
        assert run_as((A, A), 20, os.getgroups, groups=[A, 30])["value"] == [30, A]
        assert os.umask(0o077) == 0o077 and os.getuid() == 0, "the parent's stay"
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    ("error", "name", "text"),
    [
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "EDQUOT", "[Errno 122] Disk quota exceeded"),
        (OSError("nowhere"), "OSError", "nowhere"),
        (sqlite3.DatabaseError("malformed"), "SQLITE", "malformed"),
        (ValueError("odd"), "ValueError", "odd"),
    ],
)
def test_error_of_the_child_has_a_name_and_a_text(error: Exception, name: str, text: str) -> None:
    assert run_as(ROOT, 20, lambda: fail(error)) == {"error": name, "text": text}


def test_child_that_takes_too_long_is_ended_and_says_so(tmp_path: Path) -> None:
    """Whatever its parent does with signals: a server that is silent ends no run."""

    def wait() -> None:
        (tmp_path / "pid").write_text(str(os.getpid()))
        time.sleep(60)

    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGALRM, signal.SIGTERM)}
    try:
        begun = time.monotonic()
        reply = run_as(ROOT, 0.5, wait)
        assert reply == {"error": "ETIMEDOUT", "text": "no end within 0.5 s"}
        assert time.monotonic() - begun < 20 and not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_child_that_is_killed_has_no_value() -> None:
    assert run_as(ROOT, 20, lambda: os.kill(os.getpid(), signal.SIGKILL))["error"] == "ETIMEDOUT"


def test_search_of_services_that_fails_or_hangs_says_why() -> None:
    assert v2_installs.within(20, lambda: "seen") == "seen"
    with pytest.raises(SystemExit, match=r"^could not inspect NanoClaw's services: division by zero$"):
        v2_installs.within(20, lambda: 1 / 0)
    with pytest.raises(SystemExit, match=r"^could not inspect NanoClaw's services: no end within 1 s$"):
        v2_installs.within(1, lambda: time.sleep(60))
    with pytest.raises(SystemExit, match=r"^could not inspect NanoClaw's services: ValueError$"):
        v2_installs.within(20, lambda: fail(ValueError()))
