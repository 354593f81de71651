"""Many requests in one round trip: each program replies as if it ran alone, and none stops the others."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks import bundle as module
from tasks.bundle import PODS, boot_argv, boot_input


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of programs, in a package with the batch."""
    pods = tmp_path / "files/pods"
    for name in ("__main__.py", "machine/batch.py", "machine/protocol.py", "common/protocol.py", "common/sanitize.py"):
        (pods / name).parent.mkdir(parents=True, exist_ok=True)
        (pods / name).write_text((PODS / name).read_text())
    (pods / "room").mkdir()
    monkeypatch.setattr(module, "_PROJECT", tmp_path)
    monkeypatch.setattr(module, "PODS", pods)
    for cached in (module.bundle, module._line):
        cached.cache_clear()
    yield pods / "room"
    for cached in (module.bundle, module._line):
        cached.cache_clear()


def ask(room: Path, **programs: str) -> tuple[list[Any], str]:
    """The replies of a batch, and its standard error."""
    for name, text in programs.items():
        (room / f"{name}.py").write_text(f"import json, os, sys\n{text}\n")
    entries = [f"room.{name}" for name in programs]
    requests = [{"entry": entry, "request": {"n": number}} for number, entry in enumerate(entries)]
    payload = json.dumps([f"for {entry}" for entry in entries])
    done = subprocess.run(
        [sys.executable, *boot_argv("machine.batch")[1:]],
        input=boot_input("machine.batch", {"requests": requests}, payload, more=entries),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    (line,) = done.stdout.splitlines()
    return json.loads(line)["replies"], done.stderr


SAYS = "print(json.loads(sys.argv[1])['n'], sys.stdin.read())"


def test_each_program_receives_its_request_and_payload(room: Path) -> None:
    assert ask(room, one=SAYS, two=SAYS)[0] == ["0 for room.one\n", "1 for room.two\n"]


@pytest.mark.parametrize(
    ("fails", "why"),
    [
        ("sys.exit('no disk')", "room.bad: no disk"),
        ("print('half'); 1 / 0", "room.bad: ZeroDivisionError"),
        ("os.kill(os.getpid(), 9)", ""),
        ("sys.exit(3)", "room.bad: 3"),
    ],
)
def test_failed_program_has_no_reply_and_the_others_reply(room: Path, fails: str, why: str) -> None:
    replies, errors = ask(room, one=SAYS, bad=fails, two=SAYS)
    assert replies == ["0 for room.one\n", None, "2 for room.two\n"]
    assert why in errors


def test_program_that_exits_with_status_0_has_replied(room: Path) -> None:
    assert ask(room, one="print('done'); sys.exit(0)")[0] == ["done\n"]


def test_process_changes_of_one_program_do_not_reach_the_next(room: Path) -> None:
    changes = "os.chdir('/'); os.umask(0o077); os.environ['LC_ALL'] = 'x'; sys.stdout.close()"
    tells = "print(os.environ['LC_ALL'], oct(os.umask(0)))"
    (_, second), _ = ask(room, one=changes, two=tells)
    assert second.startswith("C.UTF-8 ") and "0o77" not in second


def test_output_that_is_no_utf_8_is_a_reply_like_any_other(room: Path) -> None:
    replies, _ = ask(room, one="sys.stdout.buffer.write(b'caf\\xe9')", two=SAYS)
    assert replies == ["caf\udce9", "1 for room.two\n"]


def test_output_of_children_belongs_to_their_program(room: Path) -> None:
    assert ask(room, one="os.system('echo from a child')", two=SAYS)[0] == ["from a child\n", "1 for room.two\n"]
