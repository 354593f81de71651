"""Host data that a file of YAML cannot hold: objects, bytes, text that is none, sizes without end."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tasks.model.fleet import image_name
from tasks.model.fleet.machine_addresses import canonical, endpoint
from tasks.model.fleet.near_names import Names, Others, skeleton
from tasks.model.fleet.plan import HOSTS, FleetError, Machine
from tasks.model.fleet.plan_fleet import plan_fleet
from tasks.model.fleet.settings import SETTINGS, HostSettings
from tasks.model.fleet.show_value import limited, sounds_secret
from tasks.model.nfs.mount_options import differences, normal
from tasks.model.nfs.mount_plan import options_of
from tests.builders import host, server


def refusals(*machines: Machine) -> list[str]:
    try:
        plan_fleet([server(), *machines])
    except FleetError as error:
        str(error).encode()
        return [problem.key for problem in error.problems]
    return []


class Loud:
    """An object that has no text."""

    def __repr__(self) -> str:
        raise RuntimeError("no")

    __str__ = __repr__


SURROGATE = b"caf\xe9".decode(errors="surrogateescape")


@pytest.mark.parametrize("key", sorted(HostSettings.model_fields))
@pytest.mark.parametrize(
    "value",
    [10**5000, -(10**5000), Loud(), b"\xff", SURROGATE, {10**5000: "x"}, {"A": 10**5000}, [10**5000], [Loud()], {1, 2}],
    ids=["long", "negative", "object", "bytes", "surrogate", "key", "value", "entry", "entry object", "set"],
)
def test_whatever_a_setting_holds_its_refusal_can_be_printed(key: str, value: Any) -> None:
    assert key in refusals(host(**{key: value}))


@pytest.mark.parametrize("key", [42, None, ("pods_path",), b"pods_path", 10**5000, Loud()], ids=range(6))
def test_a_key_that_is_no_text_is_an_error(key: Any) -> None:
    assert len(refusals(Machine("oslo", (HOSTS,), {"ssh_hostname": "10.0.0.2", key: 1}))) == 1


@pytest.mark.parametrize("key", ["pods_" + SURROGATE, "pods_\x1b[2J", "nanoclaw_" + "x" * 100_000])
def test_a_key_is_shown_short_and_without_control_characters(key: str) -> None:
    with pytest.raises(FleetError) as raised:
        plan_fleet([server(), host(**{key: 1})])
    (problem,) = raised.value.problems
    assert problem.key.isprintable() and problem.key.isascii() and len(problem.key) <= 80


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ({"nanoclaw_env": {"NOTE": SURROGATE}}, "nanoclaw_env"),
        ({"nanoclaw_env": {"NOTE": "x" * 32_769}}, "nanoclaw_env"),
        ({"nanoclaw_env": {f"NOTE_{n}": "x" * 1000 for n in range(70)}}, "nanoclaw_env"),
        ({"nanoclaw_env": {"N" * 256: "x"}}, "nanoclaw_env"),
        ({"nanoclaw_environment": {"NOTE": SURROGATE}}, "nanoclaw_environment"),
        ({"nanoclaw_environment": {"NOTE": "é" * 20_000}}, "nanoclaw_environment"),
        ({"nanoclaw_gate": ["sh", "-c", SURROGATE]}, "nanoclaw_gate"),
        ({"nanoclaw_gate": ["x" * 131_072]}, "nanoclaw_gate"),
        ({"nanoclaw_gate": ["x"] * 10_000}, "nanoclaw_gate"),
        ({"nanoclaw_repository": "https://git.example.org/" + "x" * 2000}, "nanoclaw_repository"),
        ({"nanoclaw_ref": "x" * 252}, "nanoclaw_ref"),
        ({"pods_server": "x" * 256}, "pods_server"),
        ({"pods_export": "/" + "x/" * 2050 + "x"}, "pods_export"),
        ({"pods_mount_options_unchecked": [f"vendor{n}=1" for n in range(200)]}, "pods_mount_options_unchecked"),
        ({"nanoclaw_image": "load", "nanoclaw_image_archive": "/srv/a", "nanoclaw_image_name": "a/" * 130 + "a"}, None),
    ],
)
def test_what_a_machine_cannot_take_is_refused(data: dict[str, Any], key: str | None) -> None:
    assert (key or "nanoclaw_image_name") in refusals(host(**data))


def test_a_machines_name_that_makes_too_long_a_path_is_refused() -> None:
    assert refusals(host("h" * 250)) == ["pods_export"]


def test_what_a_machine_takes_is_accepted_to_the_last_byte() -> None:
    good: dict[str, Any] = {
        "nanoclaw_env": {"NOTE": "x" * 32_768},
        "nanoclaw_ref": "v" * 240,
        "nanoclaw_gate": ["x" * 16_000],
    }
    assert refusals(host(**good)) == []


_COMPONENT = st.from_regex(r"[a-z0-9]{1,5}((\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}", fullmatch=True)
_DOMAIN = st.from_regex(
    r"[A-Za-z0-9]{1,5}(\.[A-Za-z0-9]([A-Za-z0-9-]{0,3}[A-Za-z0-9])?){1,3}(:[1-9][0-9]{0,3})?", fullmatch=True
)


@given(_DOMAIN | st.just(""), st.lists(_COMPONENT, min_size=1, max_size=3), st.sampled_from(["", "v1", "A_.-9"]))
def test_a_reference_by_the_grammar_is_taken_apart_as_docker_does(domain: str, parts: list[str], tag: str) -> None:
    path = "/".join(parts)
    if not domain and len(parts) > 1 and ("." in parts[0] or parts[0] == "localhost"):
        domain, path = parts[0], "/".join(parts[1:])
        if "_" in domain or domain.startswith("-"):
            return
    text = (f"{domain}/" if domain else "") + path + (f":{tag}" if tag else "")
    parsed = image_name.parse(text)
    if parsed is None:
        assert any(label.startswith("-") or label.endswith("-") for label in domain.split("."))
        return
    assert (parsed.domain, parsed.path, parsed.tag, parsed.digest) == (domain, path, tag, "")


@given(st.text("aA0._-/:@[]+", max_size=30))
@example("A/b")
@example("localhost:5000/a")
def test_an_accepted_reference_reads_back_as_it_was_written(text: str) -> None:
    parsed = image_name.parse(text)
    if parsed is not None:
        rest = f"{parsed.path}{':' if parsed.tag else ''}{parsed.tag}{'@' if parsed.digest else ''}{parsed.digest}"
        assert text == (f"{parsed.domain}/" if parsed.domain else "") + rest
        assert parsed.path == parsed.path.lower() and "//" not in text


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        *(
            (name, True)
            for name in ("API_KEY", "DB_PASS", "db_pwd", "SecretKey", "TOKEN_2", "X_CREDENTIALS", "GITHUB_PAT")
        ),
        *((name, False) for name in ("PWD", "MAX_TOKENS", "TOKEN_LIMIT", "KEYBOARD", "AUTHOR", "BYPASS", "TOKEN_FILE")),
        ("Bearer abcdefghijklmnopqrstuvwxyz", True),
        ("postgres://andy:geheim@db/x", True),
        ("http://proxy.example.org:3128", False),
        ("git@github.com:a/b.git", False),
        ("12:30", False),
    ],
)
def test_what_sounds_secret(name: str, secret: bool) -> None:
    assert sounds_secret(name) is secret


def test_a_context_with_a_comma_is_one_option_to_mount_and_to_the_comparison() -> None:
    context = "context=system_u:object_r:nfs_t:s0:c1,c2"
    plan = plan_fleet([server(), host(pods_mount_options=[context])]).hosts["oslo"]
    (quoted,) = [option for option in options_of(plan) if option.startswith("context=")]
    assert quoted == 'context="system_u:object_r:nfs_t:s0:c1,c2"'
    assert normal([quoted]) == normal([context])
    assert differences(options_of(plan), ["vers=4.2", "proto=tcp", "nosuid", "nodev", quoted]) == {}


def test_options_in_quotes_are_not_split_at_their_commas() -> None:
    code = (
        "from files.pods.common.mountinfo import split_options; print(split_options('rw,context=\"a:s0:c1,c2\",hard'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['rw', 'context=\"a:s0:c1,c2\"', 'hard']\n"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.11", "10.0.0.11"),
        ("0xa00000b", "10.0.0.11"),
        ("::ffff:10.0.0.11", "10.0.0.11"),
        ("a", None),
        ("1.2.3.4.5", None),
    ],
)
def test_an_address_has_one_form(text: str, address: str | None) -> None:
    assert canonical(text) == address


def test_connectors_of_one_machine_are_one_place() -> None:
    assert endpoint(Machine("@ssh/10.0.0.1", (), {})) == endpoint(Machine("x", (), {"ssh_hostname": "10.0.0.1"}))
    assert endpoint(Machine("@local", (), {})) == endpoint(Machine("x", (), {"ssh_hostname": "localhost"}))
    assert endpoint(Machine("@docker/a", (), {})) != endpoint(Machine("@docker/b", (), {}))


@given(st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=9, unique=True))
def test_each_of_a_group_names_all_others_or_how_many_more(names: list[str]) -> None:
    others = Others(names)
    for name in names:
        expected = sorted(set(names) - {name})
        more = f" and {len(expected) - 5} more" if len(expected) > 5 else ""
        assert others.than(name) == ", ".join(expected[:5]) + more


@given(st.sampled_from(sorted(SETTINGS)), st.data())
def test_a_name_with_a_letter_more_or_less_is_recognised(name: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(name) - 1))
    for wrong in (name[:place] + name[place + 1 :], name[:place] + "q" + name[place:], name.upper()):
        nearest = Names(SETTINGS).near(wrong)
        assert nearest is not None and abs(len(skeleton(nearest)) - len(skeleton(wrong))) <= 1


def _shared(n: int) -> list[Machine]:
    return [host(f"h{i}", i + 2, pods_export="/srv/pods/all") for i in range(n)]


def _nested(n: int) -> list[Machine]:
    half = [host(f"h{i}", i + 2, pods_export="/srv/pods/all") for i in range(n // 2)]
    return half + [host(f"k{i}", n + i + 2, pods_export=f"/srv/pods/all/{i}") for i in range(n // 2)]


def _owners(n: int) -> list[Machine]:
    own = [{"nanoclaw_uid": 2000 + i, "nanoclaw_root": f"/pods/{i}", "pods_export": "/srv/pods/all"} for i in range(n)]
    return [host(f"h{i}", i + 2, **data) for i, data in enumerate(own)]


def _one_address(n: int) -> list[Machine]:
    return [host(f"h{i}", 9) for i in range(n)]


def _misspelt(n: int) -> list[Machine]:
    servers = [server(f"filer-{i}", ssh_hostname=f"10.3.{i // 250}.{i % 250 + 1}") for i in range(n)]
    return servers + [host(f"h{i}", i + 2, pods_server=f"fler-{i}") for i in range(n)]


def _by_address(n: int) -> list[Machine]:
    servers = [server(f"filer-{i}", ssh_hostname=f"10.3.{i // 250}.{i % 250 + 1}") for i in range(n)]
    wrong = {"pods_server": "192.0.2.7"}
    return servers + [host(f"h{i}", i + 2, **wrong) for i in range(n)]


def _keys(n: int) -> list[Machine]:
    return [host(f"h{i}", i + 2, **{f"pods_pth{i:04}": 1}) for i in range(n)]


def _work(machines: list[Machine]) -> tuple[int, int, int]:
    """How many calls planning makes, the most memory it has, and the length of what it says."""
    calls = 0

    def count(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    tracemalloc.start()
    try:
        with pytest.raises(FleetError) as raised:
            plan_fleet([server(), *machines])
    finally:
        sys.setprofile(None)
        memory = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return calls, memory, len(str(raised.value))


@pytest.mark.parametrize("fleet", [_shared, _nested, _owners, _one_address, _misspelt, _by_address, _keys])
def test_planning_stays_linear_when_it_refuses(fleet: Callable[[int], list[Machine]]) -> None:
    _work(fleet(8))
    small, large = _work(fleet(60)), _work(fleet(240))
    for less, more in zip(small, large, strict=True):
        assert more < 6 * less, (small, large)


def test_a_value_without_end_is_shown_short() -> None:
    assert len(limited("x" * 1_000_000)) <= 100 and limited(10**5000) == "a value of type int"
