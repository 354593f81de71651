"""Programs of the host user: its ids, and errors of earlier writes."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from files.pods.common.run_as_host_user import discard_write_errors, sync_file_system
from files.pods.source import fetch as fetch_source
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
        "migration.install_channels",
        "source.switch_commit",
    ),
    *(
        "migration.upstream_step",
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
