"""The copy of a v1 in which agents left links: root reads, and the host user writes."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from files.pods.v1 import rsync_confined
from files.pods.v1.confine import SOURCE, confine, directory_below, needs_of
from files.pods.v1.copy import write
from files.pods.v1.protocol import CopyRequest
from files.pods.v1.rsync_confined import last_of, only_vanished
from tests.programs import request_argv
from tests.unit.trees.swapper import swapping

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("rsync"), reason="needs root, to read and write as others, and rsync"
)
UID = 1234


class Case(NamedTuple):
    """A small v1 and v2, and secrets beside them."""

    v1: Path
    v2: Path
    secret: Path
    home: Path

    @property
    def claude(self) -> Path:
        return self.v1 / "data/sessions/main/.claude"

    @property
    def group(self) -> Path:
        return self.v1 / "groups/main"

    @property
    def shared(self) -> Path:
        return self.v2 / "data/v2-sessions/ag-1/.claude-shared"

    def copy(self, links: bool = True, final: bool = True, **more: Any) -> subprocess.CompletedProcess[str]:
        for place in (self.v1, self.v2, self.home):
            subprocess.run(["chown", "-hR", f"{UID}:{UID}", str(place)], check=True)
        request = CopyRequest("x", UID, UID, str(self.v1), str(self.v2), None, links, final, 60)
        argv = request_argv(replace(request, **more))
        return subprocess.run(argv, capture_output=True, text=True, timeout=90, check=False)


@pytest.fixture
def case() -> Iterator[Case]:
    with tempfile.TemporaryDirectory() as folder:  # another user has to get here, and pytest's own is root's alone
        Path(folder).chmod(0o755)
        yield made_in(Path(folder))


def made_in(folder: Path) -> Case:
    made = Case(folder / "v1", folder / "v2", folder / "secret", folder / "home")
    for place in (made.claude, made.group, made.v2 / "data/v2-sessions", made.v2 / "container/skills/own", made.home):
        place.mkdir(parents=True)
    made.secret.mkdir(mode=0o700)
    (made.secret / "shadow").write_text("secret")
    (made.secret / "shadow").chmod(0o600)
    (made.home / "keys").write_text("kept")
    (made.v2 / "container/skills/own/SKILL.md").write_text("own")
    with sqlite3.connect(made.v2 / "data/v2.db") as database:
        database.execute("CREATE TABLE agent_groups (id, folder)")
        database.execute("INSERT INTO agent_groups VALUES ('ag-1', 'main')")
    database.close()
    git = ["git", "-C", str(made.v2), "-c", "user.name=x", "-c", "user.email=x@localhost"]
    for args in (["init", "-q"], ["add", "container"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *args], check=True)
    return made


def test_copies_are_complete_and_belong_to_the_host_user(case: Case) -> None:
    (case.group / "notes").mkdir()
    (case.group / "notes/today.md").write_text("today")
    (case.group / "latest").symlink_to("notes")
    (case.group / "CLAUDE.md").write_text("memory")
    (case.claude / "projects/-workspace-group").mkdir(parents=True)
    (case.claude / "projects/-workspace-group/one.jsonl").write_text("{}")
    os.utime(case.claude / "projects/-workspace-group/one.jsonl", (1000, 1000))
    (case.v1 / "store/auth").mkdir(parents=True)
    (case.v1 / "store/auth/creds.json").write_text("{}")
    (case.v1 / "container/skills/weather").mkdir(parents=True)
    (case.v1 / "container/skills/weather/SKILL.md").write_text("sky")
    for _ in range(2):
        done = case.copy()
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["bytes"] == 0
    copied = case.shared / "projects/-workspace-agent/one.jsonl"
    assert copied.stat().st_mtime == 1000 and copied.stat().st_uid == UID
    assert (case.v2 / "groups/main/notes/today.md").read_text() == "today"
    assert (case.v2 / "groups/main/latest").readlink() == Path("notes")
    assert not (case.v2 / "groups/main/CLAUDE.md").exists()
    assert (case.v2 / "store/auth/creds.json").stat().st_mode & 0o777 == 0o600
    assert (case.v2 / "container/skills/weather/SKILL.md").read_text() == "sky"
    (case.group / "notes/today.md").unlink()
    assert case.copy().returncode == 0
    assert not (case.v2 / "groups/main/notes/today.md").exists()


def _linked_conversation(case: Case) -> None:
    (case.claude / "projects").mkdir()
    (case.claude / "projects/-workspace-group").symlink_to(case.secret)


def _linked_projects(case: Case) -> None:
    place = case.group / "p"
    (place / "-workspace-group").mkdir(parents=True)
    (place / "-workspace-group/keys").write_text("attacker")
    (place / "-workspace-agent").symlink_to(case.home)
    (case.claude / "projects").symlink_to(place)


def _linked_home(case: Case) -> None:
    case.claude.rmdir()
    case.claude.symlink_to(case.secret)


def _linked_auth(case: Case) -> None:
    (case.v1 / "store").mkdir()
    (case.v1 / "store/auth").symlink_to(case.secret)


def _linked_store(case: Case) -> None:
    (case.secret / "auth").mkdir()
    (case.secret / "auth/shadow").write_text("secret")
    (case.v1 / "store").symlink_to(case.secret)


def _linked_skill(case: Case) -> None:
    (case.v1 / "container/skills").mkdir(parents=True)
    (case.v1 / "container/skills/evil").symlink_to(case.secret)


def _linked_group(case: Case) -> None:
    (case.v1 / "groups/other").symlink_to(case.secret)


@pytest.mark.parametrize(
    "plant",
    [_linked_conversation, _linked_projects, _linked_home, _linked_auth, _linked_store, _linked_skill, _linked_group],
)
def test_copy_follows_no_link_of_an_agent(case: Case, plant: Callable[[Case], None]) -> None:
    plant(case)
    done = case.copy()
    assert done.returncode == 0, done.stderr
    copied = [path for path in case.v2.rglob("*") if path.is_file() and not path.is_symlink()]
    assert not [path for path in copied if b"secret" in path.read_bytes() or path.name == "shadow"]
    assert [path.name for path in case.home.iterdir()] == ["keys"]
    assert (case.home / "keys").read_text() == "kept"


def test_hard_links_are_kept_only_on_request(case: Case) -> None:
    (case.group / "one").write_text("1")
    (case.group / "two").hardlink_to(case.group / "one")
    assert case.copy().returncode == 0
    assert (case.v2 / "groups/main/one").stat().st_nlink == 2
    shutil.rmtree(case.v2 / "groups")
    assert case.copy(links=False).returncode == 0
    assert (case.v2 / "groups/main/one").stat().st_nlink == 1


def no_secret(case: Case) -> bool:
    copied = [path for path in case.v2.rglob("*") if path.is_file() and not path.is_symlink()]
    return not [path for path in copied if b"secret" in path.read_bytes() or path.name == "shadow"]


def test_directory_that_is_swapped_for_a_link_leaks_and_stops_nothing(case: Case) -> None:
    for number in range(30):
        (case.group / f"notes/deep/{number}").mkdir(parents=True)
        (case.group / f"notes/deep/{number}/shadow-of-mine").write_text("mine")
        (case.secret / f"deep/{number}").mkdir(parents=True)
        (case.secret / f"deep/{number}/shadow").write_text("secret")
    with swapping(case.group, case.secret):
        for _ in range(3):
            done = case.copy(final=False)
            assert done.returncode == 0, done.stderr
            assert no_secret(case)
    assert case.copy().returncode == 0 and no_secret(case)
    assert (case.v2 / "groups/main/notes").is_symlink() != (case.v2 / "groups/main/away").is_symlink()


def confined(top: Path, path: tuple[str, ...], files: list[str], work: Callable[[], Any]) -> str:
    """Return what a confined child prints."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(writer, 1)
        try:
            confine(str(top), path, files)
            os.write(1, str(work()).encode())
        except BaseException as error:
            os.write(1, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        output = answer.read()
    os.waitpid(child, 0)
    return output


def error_of(work: Callable[[], Any]) -> int | None:
    try:
        work()
    except OSError as error:
        return error.errno
    return None


def test_reader_cannot_follow_a_link_into_another_group(case: Case) -> None:
    (case.v1 / "groups/family").mkdir()
    (case.v1 / "groups/family/diary").write_text("secret of the family")
    (case.group / "up").symlink_to("../family")
    (case.group / "own").write_text("own")
    ways = ("own", "up/diary", "../family/diary", "../../etc/passwd", "../proc/1/root")

    def reached() -> list[Any]:
        return [[way for way in ways if Path(SOURCE, way).exists()], [path.name for path in Path("/").iterdir()]]

    assert confined(case.v1, ("groups", "main"), [], reached) == "[['own'], ['source']]"


def test_group_that_is_a_link_is_not_copied(case: Case) -> None:
    (case.v1 / "groups/other").symlink_to(case.secret)
    assert confined(case.v1, ("groups", "other"), [], lambda: list(Path("/").iterdir())).startswith("AbsentError")


def test_missing_library_is_not_taken_for_a_missing_group(case: Case) -> None:
    output = confined(case.v1, ("groups", "main"), ["/nowhere/lib.so"], lambda: "confined")
    assert output.startswith("FileNotFoundError")


def test_reader_cannot_write_or_escape(case: Case) -> None:
    outside = os.open("/", os.O_RDONLY)

    def tried() -> list[int | None]:
        writing = error_of(lambda: os.close(os.open(f"{SOURCE}/new", os.O_WRONLY | os.O_CREAT)))
        return [writing, error_of(lambda: os.stat("etc", dir_fd=outside)), error_of(lambda: Path("/new").mkdir())]

    assert confined(case.v1, ("groups", "main"), [], tried) == f"[{errno.EROFS}, {errno.EBADF}, {errno.EROFS}]"
    os.close(outside)


def test_confined_program_has_only_capabilities_to_read(case: Case) -> None:
    setpriv = shutil.which("setpriv") or ""
    files = needs_of(setpriv)
    output = confined(case.v1, ("groups", "main"), files, lambda: os.execv(setpriv, [setpriv, "--dump"]))
    assert "Capability bounding set: dac_read_search\n" in output and "no_new_privs: 1\n" in output, output


@pytest.mark.parametrize(
    ("output", "vanished"),
    [
        ('rsync: [sender] link_stat "/a" failed: No such file or directory (2)\n', True),
        ('rsync: [sender] change_dir "/a" failed: Not a directory (20)\nrsync error: code 23 at main.c(1)\n', True),
        ('rsync: [sender] opendir "/a" failed: Too many levels of symbolic links (40)\n', True),
        ('rsync: [sender] send_files failed to open "/a": Permission denied (13)\n', False),
        ('rsync: [sender] link_stat "/a" failed: x (2)\nrsync: [receiver] mkstemp "/b" failed: x (28)\n', False),
        ("rsync error: some files could not be transferred\n", False),
    ],
)
def test_only_errors_of_vanished_entries_are_tried_again(output: str, vanished: bool) -> None:
    assert only_vanished(output) is vanished


@pytest.mark.parametrize(("size", "kept"), [(0, 0), (10, 10), (1 << 20, 1 << 20), ((1 << 20) + 5, 1 << 20)])
def test_end_of_a_long_output_is_read(size: int, kept: int) -> None:
    with tempfile.TemporaryFile() as file:
        output = "".join(str(number % 10) for number in range(size))
        file.write(output.encode())
        assert last_of(file) == output[size - kept :]


def test_sent_bytes_are_counted(case: Case) -> None:
    """Files that exist already are not sent again."""
    (case.group / "a").write_bytes(b"a" * 1_234_567)
    (case.claude / "b").write_bytes(b"b" * 1000)
    sent = [json.loads(case.copy(final=False).stdout.splitlines()[-1])["bytes"] for _ in range(2)]
    assert sent == [1_235_567, 0]


def test_group_that_cannot_be_written_fails_at_once_with_the_cause(case: Case) -> None:
    (case.group / "a").write_text("a")
    (case.v2 / "groups").write_text("no directory")
    done = case.copy(final=False)
    assert done.returncode != 0 and "rsync to" in done.stderr and "groups/main" in done.stderr


def test_git_runs_as_the_host_user(case: Case) -> None:
    """With a promisor remote git starts a program for each missing object."""
    log = case.v2.parent / "told"
    log.mkdir()
    log.chmod(0o777)
    evil = case.v2.parent / "evil"
    evil.write_text(f"#!/bin/sh\nid -u >> {log}/uid\nexit 1\n")
    evil.chmod(0o755)
    git = ["git", "-C", str(case.v2)]
    lists = subprocess.run([*git, "ls-tree", "-rt", "HEAD"], capture_output=True, text=True, check=True).stdout
    skills = next(line.split()[2] for line in lists.splitlines() if line.endswith("container/skills"))
    (case.v2 / f".git/objects/{skills[:2]}/{skills[2:]}").unlink()
    for name, value in {
        "extensions.partialClone": "evil",
        "core.repositoryFormatVersion": "1",
        "remote.evil.url": str(case.v2),
        "remote.evil.promisor": "true",
        "remote.evil.uploadpack": str(evil),
    }.items():
        subprocess.run([*git, "config", name, value], check=True)
    case.copy()
    assert set((log / "uid").read_text().split()) == {str(UID)}


@pytest.mark.parametrize("kind", ["link", "pipe", "device", "directory"])
def test_allow_list_that_is_no_file_is_not_read(case: Case, kind: str) -> None:
    v1_home = case.home / "v1"
    place = v1_home / ".config/nanoclaw/mount-allowlist.json"
    place.parent.mkdir(parents=True)
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "directory":
        place.mkdir()
    else:
        place.symlink_to(case.secret / "shadow" if kind == "link" else "/dev/zero")
    assert case.copy(v1_home=str(v1_home)).returncode == 0


def test_allow_list_of_root_is_not_read_for_its_owner(case: Case) -> None:
    v1_home = case.home / "v1"
    (v1_home / ".config").mkdir(parents=True)
    (v1_home / ".config/nanoclaw").symlink_to(case.secret)
    (case.secret / "mount-allowlist.json").write_text("{}")
    assert case.copy(v1_home=str(v1_home)).returncode == 0


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.EMFILE])
def test_other_errors_are_not_taken_for_absence(case: Case, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Otherwise a group would be skipped in silence if its directory cannot be opened."""
    really = os.open

    def failing(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if path == "main":
            raise OSError(number, os.strerror(number))
        return really(path, flags, *more, **named)

    monkeypatch.setattr("files.pods.v1.confine.os.open", failing)
    with pytest.raises(OSError, match=re.escape(os.strerror(number))):
        directory_below(str(case.v1), "groups", "main")
    assert directory_below(str(case.v1), "groups", "other") is None


@pytest.mark.parametrize("ask", [rsync_confined.takes_secluded, lambda: needs_of("/bin/x")])
def test_failing_rsync_or_ldd_ends_the_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Callable[[], object]
) -> None:
    """What they print then says nothing of the machine."""
    for name in ("rsync", "ldd"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'rsync  version 3.2.7'; exit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    rsync_confined.takes_secluded.cache_clear()
    with pytest.raises(subprocess.CalledProcessError):
        ask()


def test_allow_list_has_mode_0600(tmp_path: Path) -> None:
    """It says which directories of the machine agents may see."""
    path = tmp_path / "mount-allowlist.json"
    write(str(path), "{}")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("{}", 0o600)
