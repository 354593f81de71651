"""What a machine says of the host user's account, and of commands that it runs to know."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
from pathlib import Path
from typing import Any

import pytest

from files.pods.machine import account
from files.pods.machine.protocol import AccountState

HOME = "/home/nanoclaw"


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with the user nanoclaw, ada with his uid, and a group docker that he is in."""
    mine = pwd.struct_passwd(("nanoclaw", "x", 1000, 1001, "", HOME, "/bin/sh"))
    hers = pwd.struct_passwd(("ada", "x", 1500, 1500, "", "/nonexistent", "/bin/sh"))
    docker = grp.struct_group(("docker", "x", 990, ["nanoclaw"]))
    own = grp.struct_group(("nanoclaw", "x", 1001, []))
    users = grp.struct_group(("users", "x", 1500, []))
    monkeypatch.setattr(pwd, "getpwnam", {"nanoclaw": mine, "ada": hers}.__getitem__)
    monkeypatch.setattr(pwd, "getpwuid", {1000: mine, 1500: hers}.__getitem__)
    monkeypatch.setattr(grp, "getgrnam", {"docker": docker, "nanoclaw": own}.__getitem__)
    monkeypatch.setattr(grp, "getgrgid", {1001: own, 1500: users}.__getitem__)
    monkeypatch.setattr(os, "getgrouplist", lambda user, gid: [gid, *([990] if user == "nanoclaw" else [])])
    monkeypatch.setattr(account, "mount_table", lambda: [])
    monkeypatch.setattr(account, "may_hang", lambda path, _table: path == HOME)


@pytest.mark.usefixtures("accounts")
@pytest.mark.parametrize(
    ("user", "uid", "gid", "state"),
    [
        ("nanoclaw", 1000, 1001, ((1000, 1001), HOME, True, "nanoclaw", "nanoclaw", 1001, True, True)),
        ("ada", 1500, 1500, ((1500, 1500), "/nonexistent", False, "ada", "users", None, True, False)),
        ("eve", 1500, 1500, (None, None, False, "ada", "users", None, True, False)),
        ("eve", 7, 7, (None, None, False, None, None, None, True, False)),
    ],
)
def test_the_state_of_an_account_names_conflicts(user: str, uid: int, gid: int, state: tuple[Any, ...]) -> None:
    """A home on a server counts as there: to look may wait without end."""
    assert account.account(user, uid, gid) == AccountState(*state)


@pytest.mark.usefixtures("accounts")
def test_a_machine_without_a_group_docker_has_nobody_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grp, "getgrnam", {}.__getitem__)
    state = account.account("nanoclaw", 1000, 1001)
    assert (state.docker_group, state.in_docker) == (False, False)


def test_a_command_that_ends_says_how_and_what() -> None:
    assert account.ran("sh", "-c", "pwd; cat; exit 3") == (3, "/\n")


def test_a_command_may_print_what_is_no_utf_8() -> None:
    assert account.ran("printf", "caf\\351") == (0, "caf\ufffd")


def test_a_command_that_cannot_run_or_does_not_end_has_no_status(monkeypatch: pytest.MonkeyPatch) -> None:
    assert account.ran("/nonexistent/getent") == (None, "")
    monkeypatch.setattr(account, "LOGIN_SECONDS", 0.1)
    assert account.ran("sleep", "60") == (None, "")


def test_sshd_names_the_authorized_keys_of_the_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: list[tuple[str, ...]] = []

    def ran(*argv: str, **_who: Any) -> tuple[int, str]:
        calls.append(argv)
        return 0, f"authorizedkeysfile %h/keys {tmp_path}/%U/100%% none relative\n"

    entry = pwd.struct_passwd(("ada", "x", 1500, 1500, "", "/home/ada", "/bin/sh"))
    monkeypatch.setattr(shutil, "which", lambda _name, path: "/sbin/sshd" if path.endswith(":/sbin") else None)
    monkeypatch.setattr(account, "ran", ran)
    assert account.key_files(entry) == ["/home/ada/keys", f"{tmp_path}/1500/100%", "/home/ada/relative"]
    assert calls == [("/sbin/sshd", "-T", "-C", "user=ada,host=localhost,addr=127.0.0.1")]


@pytest.mark.parametrize("status", [1, None])
def test_where_sshd_does_not_say_it_the_usual_files_count(status: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = pwd.struct_passwd(("ada", "x", 1500, 1500, "", "/home/ada", "/bin/sh"))
    monkeypatch.setattr(shutil, "which", lambda _name, path: "/sbin/sshd")
    monkeypatch.setattr(account, "ran", lambda *_argv, **_who: (status, "authorizedkeysfile /other\n"))
    usual = ["/home/ada/.ssh/authorized_keys", "/home/ada/.ssh/authorized_keys2"]
    assert account.key_files(entry) == usual
    monkeypatch.setattr(shutil, "which", lambda _name, path: None)
    assert account.key_files(entry) == usual


def test_keys_that_nobody_may_read_may_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = pwd.struct_passwd(("ada", "x", 1500, 1500, "", str(tmp_path), "/bin/sh"))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "directory").mkdir()
    (tmp_path / "blank").write_text(" \n")
    (tmp_path / "keys").write_text("ssh-ed25519 AAAA\n")
    names = ("loop", "directory", "blank", "keys")
    held = {name: account.may_hold_a_key(entry, str(tmp_path / name)) for name in names}
    assert held == {"loop": True, "directory": False, "blank": False, "keys": True}
    assert not account.may_hold_a_key(entry, str(tmp_path / "keys" / "below"))
