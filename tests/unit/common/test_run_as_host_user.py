"""Programs of the host user: its ids, and errors of earlier writes."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from files.pods.common.run_as_host_user import become_user, discard_write_errors, sync_file_system
from files.pods.common.run_as_ids import ROOT, run_as
from files.pods.source import fetch as fetch_source
from tests.processes import is_gone
from tests.programs import program_argv, request_fields
from tests.unit.trees.trees import needs_root


def test_sync_reports_errors_and_discard_ignores_them(tmp_path: Path) -> None:
    """A missing path stands for a file system with a write error."""
    discard_write_errors(str(tmp_path / "none"))
    with pytest.raises(subprocess.CalledProcessError):
        sync_file_system(str(tmp_path / "none"))
    sync_file_system(str(tmp_path))


AS_THE_HOST = (
    *(
        "source.build_image",
        "source.build",
        "source.checkout",
        "source.fetch",
        "transition.install_channels",
        "source.switch_commit",
    ),
    *(
        "transition.upstream_step",
        "source.restore_database",
        "service.serving_state",
        "source.upgrade_marker",
        "v1.fix_up",
    ),
)
"""Programs that work with NanoClaw's own files, programs and remotes."""
BECOMES = '''    """Print the user, and exit."""
    print((user, uid, gid), flush=True)
    os._exit(7)
'''


def _becoming(text: str) -> str:
    """Make `become_user` of files/pods/common/run_as_host_user.py exit the program."""
    return re.sub(r"(?m)(^def become_user\(user: str, uid: int, gid: int\) -> None:\n)", rf"\1{BECOMES}", text)


@pytest.mark.parametrize("name", AS_THE_HOST)
def test_program_becomes_the_host_user_before_it_touches_nanoclaw(name: str, tmp_path: Path) -> None:
    """The program exits where it switches ids. It must do that before anything that fails here."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/systemctl").symlink_to("/bin/true")
    request = {"user": "andy", "uid": 4711, "gid": 4712, "root": f"{tmp_path}/root", "lock": f"{tmp_path}/lock"}
    request |= {"unit": "n.service", "mounts": [], "decides_owner": True, "mask": "022", "file": "x.db", "seconds": 10}
    request |= {"repository": "/none", "ref": "main", "onecli": None, "peek": False}
    request |= {
        "channels": [],
        "step": "db",
        "args": [],
        "snapshot": "/snapshot",
        "unknown_senders": None,
        "env_set": [],
    }
    request |= {"fetch": True, "stash": None, "source": {}}
    request |= {"log": "log", "errors": "errors", "inputs": [], "started": "started"}
    done = subprocess.run(
        program_argv(name, request_fields(name, request), _becoming),
        env={**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (7, "('andy', 4711, 4712)\n"), done.stderr


DEADLINE = f"""
import os, subprocess, sys, time
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from files.pods.common.run_as_host_user import run_with_deadline
run_with_deadline(int(sys.argv[1]), "/pods")
"""


@pytest.mark.parametrize(
    ("work", "status", "errors"),
    [
        ("print('done')", 0, ""),
        ("sys.exit(3)", 3, ""),
        ("sys.exit('no space')", 1, "no space\n"),
        ("os.kill(os.getpid(), 9)", 1, ""),
    ],
)
def test_program_with_a_deadline_ends_as_its_work_ends(work: str, status: int, errors: str) -> None:
    argv = [sys.executable, "-I", "-c", DEADLINE + work, "60"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (status, errors)


def test_work_beyond_its_deadline_is_killed_with_its_children_and_names_the_server() -> None:
    work = "child = subprocess.Popen(['sleep', '300']); print(child.pid, flush=True); child.wait()"
    argv = [sys.executable, "-I", "-c", DEADLINE + work, "2"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    why = "/pods did not answer within 2 s: check its file server, then run again\n"
    assert (done.returncode, done.stderr) == (1, why)
    assert is_gone(int(done.stdout))


FROM_ROOT = ("XDG_RUNTIME_DIR", "GIT_DIR", "SUDO_USER")


def become(user: str, uid: int, gid: int) -> dict[str, Any]:
    """What a process of root is once it has become a user, with a strict umask and variables of root's session."""

    def work() -> dict[str, Any]:
        os.umask(0o077)
        os.environ.update(dict.fromkeys(FROM_ROOT, "of root"), PATH="/root/bin", LC_ALL="de_DE")
        become_user(user, uid, gid)
        ids = {"uids": os.getresuid(), "gids": os.getresgid(), "groups": os.getgroups()}
        return {**ids, "umask": os.umask(0), "directory": str(Path.cwd()), "environment": dict(os.environ)}

    value: dict[str, Any] = run_as(ROOT, 20, work)["value"]
    return value


@needs_root
def test_process_of_the_host_user_has_nothing_of_roots_session() -> None:
    nobody = pwd.getpwnam("nobody")
    state = become("nobody", nobody.pw_uid, nobody.pw_gid)
    assert (state["uids"], state["gids"]) == ([nobody.pw_uid] * 3, [nobody.pw_gid] * 3)
    assert state["groups"] == os.getgrouplist("nobody", nobody.pw_gid)
    assert (state["umask"], state["directory"]) == (0o022, "/")
    environment = state["environment"]
    assert not set(FROM_ROOT) & set(environment)
    assert (environment["USER"], environment["LOGNAME"], environment["HOME"]) == ("nobody", "nobody", nobody.pw_dir)
    standard = {f"{prefix}/{name}" for prefix in ("/usr/local", "/usr", "") for name in ("sbin", "bin")}
    assert set(environment["PATH"].split(":")) == standard and environment["LC_ALL"] == "C.UTF-8"
    never_asks = {"CI": "true", "GIT_TERMINAL_PROMPT": "0", "NANOCLAW_NO_DIAGNOSTICS": "1"}
    assert never_asks.items() <= environment.items()


@needs_root
def test_host_user_without_an_account_has_its_numbers_and_no_home() -> None:
    state = become("no-such-user", 4711, 4712)
    assert (state["uids"], state["gids"], state["groups"]) == ([4711] * 3, [4712] * 3, [4712])
    assert state["environment"]["HOME"] == "/nonexistent"


@needs_root
def test_fetch_queries_the_remote_as_the_host_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Git starts programs that a configuration names."""
    reading, writing = os.pipe()

    def git_outside(*args: str) -> subprocess.CompletedProcess[str]:
        os.write(writing, f"{os.getuid()} {os.getgid()} {args[0]}".encode())
        return subprocess.CompletedProcess(args, 0, "", "")

    monkeypatch.setattr(fetch_source, "git_outside", git_outside)
    fetch_source.check_repository("https://example.org/x.git", "no-such-user", 4711, 4712)
    os.close(writing)
    assert os.read(reading, 100) == b"4711 4712 ls-remote"
    os.close(reading)
