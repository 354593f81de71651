"""The chown of another user's checkout: the old owner, who may still write in it, gains nothing."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from files.pods.common.protocol import Request
from files.pods.source.chown_checkout import chown_to_host, make_directories
from files.pods.source.protocol import CheckoutRequest, FetchRequest, PreviousCheckout, VersionState
from tests.lab.standin import make_repository
from tests.programs import request_argv
from tests.unit.source.source_host import NEW, OLD, Host
from tests.unit.trees.swapper import swapping
from tests.unit.trees.trees import needs_root

pytestmark = needs_root
BEFORE, AFTER = 4242, 4343
UNIT = "nanoclaw-pods-no-such.service"


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as made:  # others have to get here, and pytest's own is root's alone
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture
def host(folder: Path) -> Host:
    """A checkout of BEFORE."""
    made = Host(folder / "root", folder / "remote.git")
    make_repository(made.repository)
    made.check_out(OLD)
    chown(made.root, BEFORE)
    return made


def chown(path: Path, uid: int) -> None:
    subprocess.run(["chown", "-hR", f"{uid}:{uid}", str(path)], check=True)


def test_swapped_directory_has_nothing_else_chowned(folder: Path) -> None:
    root, victim = folder / "root", folder / "victim"
    for number in range(40):
        (root / f"notes/{number}").mkdir(parents=True)
        (root / f"notes/{number}/shadow").write_text("mine")
        (victim / f"{number}").mkdir(parents=True)
        (victim / f"{number}/shadow").write_text("root's")
    (root / ".git").mkdir()
    with swapping(root, victim):
        for _ in range(6):
            subprocess.run(["chown", "-h", f"{BEFORE}:{BEFORE}", str(root), str(root / ".git")], check=True)
            chown_to_host(str(root), BEFORE, AFTER, AFTER)
            assert {path.lstat().st_uid for path in (victim, *victim.rglob("*"))} == {0}
    assert (root / ".git").stat().st_uid == AFTER


def test_sessions_and_groups_are_not_chowned_and_git_comes_last(folder: Path) -> None:
    root = folder / "root"
    for name in ("groups/main", "data/v2-sessions/x", "data/env", ".git/objects", "src/groups", "src/.git"):
        (root / name).mkdir(parents=True)
    chown(root, BEFORE)
    chown_to_host(str(root), BEFORE, AFTER, AFTER)
    kept = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.stat().st_uid == BEFORE}
    assert kept == {"groups", "groups/main", "data/v2-sessions", "data/v2-sessions/x"}


def test_entry_that_cannot_be_chowned_is_named(folder: Path) -> None:
    (folder / "root/.git").mkdir(parents=True)
    stays = folder / "root/stays"
    stays.write_text("")
    chown(folder / "root", BEFORE)
    if subprocess.run(["chattr", "+i", str(stays)], check=False, capture_output=True).returncode != 0:
        stays.unlink()
        pytest.skip("this file system has no immutable files")
    try:
        with pytest.raises(SystemExit, match=r"chown failed \(stays: EPERM\)"):
            chown_to_host(str(folder / "root"), BEFORE, AFTER, AFTER)
    finally:
        subprocess.run(["chattr", "-i", str(stays)], check=True)
    assert (folder / "root/.git").stat().st_uid == BEFORE  # so that the next run does it again


@pytest.mark.usefixtures("no_umask")
@pytest.mark.parametrize("owner", [(AFTER, AFTER), None])
def test_new_project_root_is_readable_and_belongs_to_its_owner(folder: Path, owner: tuple[int, int] | None) -> None:
    """Where the server decides who owns it, nothing is chowned."""
    root = folder / "new/root"
    for _ in range(2):
        make_directories(str(root), owner)
        infos = [path.stat() for path in (root, root / "data")]
        assert [(info.st_uid, info.st_gid) for info in infos] == [owner or (0, 0)] * 2
        assert [info.st_mode & 0o777 for info in infos] == [0o755, 0o755]


@pytest.mark.parametrize("where", ["data", "root"])
def test_link_of_the_old_owner_is_not_followed(folder: Path, where: str) -> None:
    (folder / "etc").mkdir()
    if where == "root":
        (folder / "root").symlink_to(folder / "etc")
    else:
        (folder / "root").mkdir()
        (folder / "root/data").symlink_to(folder / "etc")
        chown(folder / "root", BEFORE)
    with pytest.raises((SystemExit, OSError)):
        make_directories(str(folder / "root"), (AFTER, AFTER))
    assert (folder / "etc").stat().st_uid == 0 and list((folder / "etc").iterdir()) == []


def plant(host: Host) -> Path:
    """Let the old owner's configuration and hooks start a program; return the file of the uids that it runs as."""
    chown(host.root, 0)
    request, evil = host.root.parent / "ran", host.root.parent / "evil"
    request.mkdir()
    request.chmod(0o777)
    evil.write_text(f"#!/bin/sh\nid -u >> {request}/uids\nexit 1\n")
    evil.chmod(0o755)
    blob = host.git("rev-parse", "HEAD:groups/main/CLAUDE.md")
    for name, value in {
        "core.fsmonitor": str(evil),
        "core.sshCommand": str(evil),
        "extensions.partialClone": "evil",
        "core.repositoryFormatVersion": "1",
        "remote.evil.url": str(host.repository),
        "remote.evil.promisor": "true",
        "remote.evil.uploadpack": str(evil),
        "url.ssh://x.invalid/.insteadOf": str(host.repository.parent) + "/",
    }.items():
        host.git("config", name, value)
    for hook in ("post-checkout", "reference-transaction", "post-index-change"):
        (host.root / ".git/hooks" / hook).parent.mkdir(exist_ok=True)
        (host.root / ".git/hooks" / hook).write_text(evil.read_text())
        (host.root / ".git/hooks" / hook).chmod(0o755)
    chown(host.root, BEFORE)
    loose = host.root / f".git/objects/{blob[:2]}/{blob[2:]}"
    loose.unlink(missing_ok=True)
    return request / "uids"


def test_programs_of_the_old_owner_never_run_as_root(host: Host) -> None:
    uids = plant(host)
    assert host.run(CheckoutRequest, ref="main", decides_owner=True).returncode == 0
    done = host.run(FetchRequest, ref=NEW, decides_owner=True, unit=UNIT)
    assert done.returncode == 0, done.stderr
    assert host.move(NEW).returncode == 0
    assert set(uids.read_text().split() if uids.exists() else []) <= {str(BEFORE)}
    assert (host.root / ".git/config.before-nanoclaw-pods").exists()
    assert "evil" not in (host.root / ".git/config").read_text()


LOGGER = """#!/bin/sh
for word; do
  case $word in --git-dir) at=in;; ls-remote|fetch|init|rev-parse|diff-index|config) verb=$word; break;; esac
done
echo "$(/usr/bin/id -u) ${at:-nowhere} ${verb:-other}" >> LOG
exec /usr/bin/git "$@"
"""


def logged(host: Host, kind: type[Request], ref: str) -> set[tuple[str, ...]]:
    """Return uid, place and command of each git that ran."""
    place, log = host.root.parent / "bin", host.root.parent / "log"
    place.mkdir(exist_ok=True)
    log.write_text("")
    log.chmod(0o666)
    (place / "git").write_text(LOGGER.replace("LOG", str(log)))
    (place / "git").chmod(0o755)
    request = host.request(kind, user="x", uid=AFTER, gid=AFTER, decides_owner=True, unit=UNIT, ref=ref)
    argv = request_argv(request, lambda text: re.sub('(?m)^HOST_PATH = "', f'HOST_PATH = "{place}:', text))
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return {tuple(line.split()) for line in log.read_text().splitlines()}


def test_look_uses_the_owners_git_and_the_host_users_network(host: Host) -> None:
    ran = logged(host, CheckoutRequest, "main")
    assert (str(AFTER), "nowhere", "ls-remote") in ran and (str(BEFORE), "in", "rev-parse") in ran
    assert {uid for uid, where, _verb in ran if where == "in"} == {str(BEFORE)}
    assert {verb for _uid, where, verb in ran if where == "nowhere"} == {"ls-remote"}


@pytest.mark.parametrize("ref", [OLD, NEW])
def test_look_at_another_users_checkout_equals_the_owners(ref: str, host: Host) -> None:
    before = host.look(ref)
    chown(host.root, 0)
    assert before.version == host.look(ref).version and before.commit == host.look(ref).commit


def test_the_version_to_come_is_known_before_another_users_checkout_is_chowned(host: Host) -> None:
    host.release("v2.0.60", {"package.json": '{"version": "2.0.60"}'})
    assert host.look("v2.0.60", peek=True).version == VersionState(), "the role has made it"
    for file in (host.root / ".git").glob("nanoclaw-pods-*"):
        file.unlink()
    previous = PreviousCheckout("2.0.64", OLD)
    assert host.look("v2.0.60", peek=True).version == VersionState(previous=previous, fetched="2.0.60")
    assert host.look("v2.0.60").version == VersionState(previous=previous)
    assert host.look("v2.0.59", peek=True).version == VersionState(previous=previous), "there is no such tag"


def test_fetch_runs_as_the_host_user_once_it_owns_the_checkout(host: Host) -> None:
    chown(host.repository, AFTER)
    ran = logged(host, FetchRequest, NEW)
    assert {uid for uid, _where, _verb in ran} == {str(AFTER)}
    assert {(str(AFTER), "nowhere", "ls-remote"), (str(AFTER), "in", "fetch"), (str(AFTER), "in", "init")} <= ran
    chown(host.root, AFTER)
    ran = logged(host, CheckoutRequest, "main")
    assert {uid for uid, _where, _verb in ran} == {str(AFTER)} and (str(AFTER), "in", "ls-remote") in ran


def test_git_refuses_a_repository_of_another_user(host: Host) -> None:
    done = host.move(OLD)
    assert done.returncode != 0 and f".git belongs to uid {BEFORE}, and git runs as uid 0" in done.stderr
