"""What single settings accept: laws that hold for every value, beside the cases in tests/settings_cases."""

from __future__ import annotations

import ipaddress
import re
import subprocess
from functools import cache
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tasks.model.fleet.checks import check_settings
from tasks.model.fleet.plan import HOSTS, SERVERS, Machine
from tasks.model.fleet.settings import SETTINGS, HostSettings, ServerSettings, WrongSettingError
from tasks.model.fleet.unknown_keys import PREFIXES
from tasks.model.fleet.values import (
    Address,
    EnvName,
    EnvValue,
    ExportOption,
    GitRef,
    GitUrl,
    ImageName,
    MountOption,
    Path,
    Root,
    Size,
    User,
)

_SPECIAL = set(" \t\n\r\0\"'\\$`;&|<>(){}[]*?#!~%=,:^")
"""Characters that mean something to exports(5), systemd (specifiers, quoting, lists), nfs(5) options or sh."""

_near_text = st.text(st.sampled_from("abz09/._@+-%$ \n'\"\\#(*:=,~") | st.characters(), max_size=40)
_adversarial = _near_text | _near_text.map("/".__add__) | st.text(max_size=40)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def accepts(kind: Any, value: object) -> Any:
    try:
        return _adapter(kind).validate_python(value, strict=True)
    except ValidationError:
        return None


@given(_adversarial)
@example("/pods\n")
@example("/pods/../etc")
@example("/é")
def test_an_accepted_path_is_one_plain_word_everywhere(text: str) -> None:
    for kind in (Path, Root):
        path = accepts(kind, text)
        if path is not None:
            assert path == text and path.isascii() and not set(path) & _SPECIAL
            assert path.startswith("/") and not path.endswith("/") and "//" not in path
            assert not {".", ".."} & set(path.split("/"))


@given(st.lists(st.from_regex(r"[A-Za-z0-9_@+-][A-Za-z0-9._@+-]{0,20}", fullmatch=True), min_size=1, max_size=5))
def test_plain_absolute_paths_are_accepted(parts: list[str]) -> None:
    path = "/" + "/".join(parts)
    assert accepts(Path, path) == path


@given(_adversarial)
@pytest.mark.parametrize("kind", [User, GitUrl, GitRef, ImageName, MountOption, ExportOption, Size, EnvName, Address])
def test_an_accepted_word_is_no_option_and_ends_no_line(kind: Any, text: str) -> None:
    word = accepts(kind, text)
    if word is not None:
        assert word.isascii() and word.isprintable() and not word.startswith("-")
        assert not set(word) & set(" \t\n\"'\\$`;&|<>(){}*?#!"), word


@given(st.from_regex(r"[a-z]{2,4}://[-a-z@:%./]{1,20}", fullmatch=True) | _adversarial)
@example("ssh://-oProxyCommand=x/y")
@example("https://user:password@host/x")
@example("ssh://git:password@host/x")
def test_a_git_url_names_no_option_of_ssh_and_holds_no_password(text: str) -> None:
    url = accepts(GitUrl, text)
    if url is not None:
        authority = re.sub(r"^[a-z]+://", "", url).split("/")[0]
        user, _, host = authority.rpartition("@")
        assert not host.startswith("-") and not user.startswith("-") and ":" not in user
        assert not (url.startswith("http") and user)


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/nanocoai/nanoclaw.git",
        "https://git.example.org:8443/team/nano-claw_2.git",
        "ssh://git@git.example.org:2222/~team/nanoclaw.git",
        "ssh://git@[fd00::1]/nanoclaw.git",
        "git://10.99.0.10/nanoclaw.git",
        "file:///srv/git/nanoclaw.git",
        "git@github.com:nanocoai/nanoclaw.git",
    ],
)
def test_git_urls_that_operators_use(url: str) -> None:
    assert accepts(GitUrl, url) == url


@given(_adversarial | st.from_regex(r"[a-z0-9][a-z0-9./_-]{0,20}", fullmatch=True))
@example("a..b")
@example("a.lock")
@example("a//b")
@example("a/")
def test_an_accepted_ref_is_one_that_git_accepts(text: str) -> None:
    if accepts(GitRef, text) is not None:
        git = subprocess.run(["git", "check-ref-format", "--allow-onelevel", text], check=False)
        assert git.returncode == 0


@given(st.ip_addresses().map(str) | st.ip_addresses(v=6).map(lambda address: address.exploded) | _adversarial)
@example("10.0.0.0/24")
@example("::ffff:10.0.0.1")
@example("fe80::1%eth0")
def test_an_accepted_address_is_that_of_one_machine_in_one_form(text: str) -> None:
    address = accepts(Address, text)
    if address is not None:
        parsed = ipaddress.ip_address(address)
        assert str(parsed) == address == accepts(Address, address)
        assert not (parsed.is_unspecified or parsed.is_multicast or parsed.is_loopback)


@given(st.text())
def test_an_accepted_variable_is_one_line(text: str) -> None:
    value = accepts(EnvValue, text)
    assert value is None or len(value.splitlines()) <= 1 or not set(value) & set(map(chr, range(32)))


@pytest.mark.parametrize("model", [ServerSettings, HostSettings])
def test_defaults_are_accepted(model: type[ServerSettings | HostSettings]) -> None:
    defaults = {name: field.get_default() for name, field in model.model_fields.items()}
    assert model.model_validate(defaults) == model()


def test_every_setting_begins_with_a_prefix_of_the_role() -> None:
    assert [name for name in SETTINGS if not name.startswith(PREFIXES)] == []


def test_defaults_are_not_shared_between_machines() -> None:
    assert HostSettings().pods_mount_options is not HostSettings().pods_mount_options


def test_a_plan_can_be_printed_without_secrets() -> None:
    settings = HostSettings(nanoclaw_env={"TOKEN": "HUSH"})
    machine = Machine("a", (HOSTS,), {"nanoclaw_env": {"TOKEN": "HUSH"}})
    assert "HUSH" not in f"{settings!r} {settings} {machine!r}"


def test_a_wrong_setting_cannot_be_read_and_the_others_can() -> None:
    machine = Machine("nfs1", (SERVERS,), {"nfs_v3": "yes", "nfs_export_root": "/export"})
    settings, problems = check_settings(machine)
    assert isinstance(settings, ServerSettings) and len(problems) == 1
    assert settings.nfs_export_root == "/export"
    with pytest.raises(WrongSettingError):
        _ = settings.nfs_v3
    with pytest.raises(AttributeError):
        _ = settings.no_such_thing  # type: ignore[attr-defined]
