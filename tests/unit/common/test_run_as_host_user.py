"""Working as the host user: what is written back, and whose errors count."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from files.pods.common.run_as_host_user import flush, forget_errors
from files.pods.source import fetch as fetch_source
from tests.programs import program_argv
from tests.unit.trees.trees import needs_root


def test_an_error_of_a_flush_is_an_error_and_those_of_before_are_let_go_of(tmp_path: Path) -> None:
    """A path that is not there stands for a file system that has an error to tell."""
    forget_errors(str(tmp_path / "none"))
    with pytest.raises(subprocess.CalledProcessError):
        flush(str(tmp_path / "none"))
    flush(str(tmp_path))


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
BECOMES = '''    """Says who it would become, and ends."""
    print((user, uid, gid), flush=True)
    os._exit(7)
'''


def _becoming(text: str) -> str:
    """Has `become` of files/pods/common/run_as_host_user.py end the program."""
    return re.sub(r"(?m)(^def become\(user: str, uid: int, gid: int\) -> None:\n)", rf"\1{BECOMES}", text)


@pytest.mark.parametrize("name", AS_THE_HOST)
def test_what_is_nanoclaws_own_is_run_as_the_host_user(name: str, tmp_path: Path) -> None:
    """The program ends where it becomes another: it has to do that before anything that needs what is not here."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/systemctl").symlink_to("/bin/true")
    asked = {"user": "andy", "uid": 4711, "gid": 4712, "root": f"{tmp_path}/root", "lock": f"{tmp_path}/lock"}
    asked |= {"unit": "n.service", "mounts": [], "gives": True, "mask": "022", "file": "x.db", "seconds": 10}
    asked |= {"log": "log", "errors": "errors", "inputs": [], "started": "started"}
    done = subprocess.run(
        program_argv(name, asked, _becoming),
        env={**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (7, "('andy', 4711, 4712)\n"), done.stderr


@needs_root
def test_a_remote_is_asked_as_the_host_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Git starts programs that a configuration names."""
    reading, writing = os.pipe()

    def nowhere(*words: str) -> subprocess.CompletedProcess[str]:
        os.write(writing, f"{os.getuid()} {os.getgid()} {words[0]}".encode())
        return subprocess.CompletedProcess(words, 0, "", "")

    monkeypatch.setattr(fetch_source, "nowhere", nowhere)
    fetch_source.ask_repository("https://example.org/x.git", "no-such-user", 4711, 4712)
    os.close(writing)
    assert os.read(reading, 100) == b"4711 4712 ls-remote"
    os.close(reading)
