"""Invariants of who writes what with which ids, and of the strategies that follow."""

from __future__ import annotations

from typing import Any, Literal, get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tasks.model.access.choose_strategy import AccessError, StrategySetting, choose
from tasks.model.access.identity import NOBODY, ROOT, Ids, Squash, agent_of, parse_squash
from tasks.model.access.strategy import Strategy, StrategyName, squash_for

_uids = st.sampled_from([0, 1, 1000, 1001, 1500]) | st.integers(0, NOBODY - 1)
_agent_uids = st.sampled_from([1, 1000, 1001]) | st.integers(1, NOBODY - 1)
_image_users = st.builds(Ids, _agent_uids, _agent_uids)
_hosts = st.just(ROOT) | st.builds(Ids, _agent_uids, _agent_uids)
"""What settings allow: root, or a user with a uid and a gid of its own."""
_any_users = _image_users | st.builds(Ids, _uids, _uids) | st.sampled_from([ROOT, Ids(0, 1000), Ids(1000, 0)])
"""What an image may say, root and the group root among it."""
_accesses = st.sampled_from(get_args(StrategyName))
_settings = st.sampled_from(get_args(StrategySetting))


@st.composite
def _squashes(draw: st.DrawFn) -> Squash:
    maps: Literal["none", "root", "all"] = draw(st.sampled_from(["none", "root", "all"]))
    ids = st.sampled_from([Ids(NOBODY, NOBODY), Ids(1000, 1000), ROOT]) | st.builds(Ids, _uids, _uids)
    return Squash(maps) if maps == "none" else Squash(maps, draw(ids))


@st.composite
def _fleets(draw: st.DrawFn) -> dict[str, Any]:
    """What `choose` is asked, but for the strategy: a managed server, another one, or local pods."""
    host = draw(_hosts)
    agent = agent_of(host, draw(_any_users))
    place = draw(st.sampled_from(["managed", "other", "local"]))
    squash = Squash("none") if place == "local" else draw(st.none() | _squashes())
    return {"host": host, "agent": agent, "managed": place == "managed", "squash": squash, "local": place == "local"}


def _refusal(setting: StrategySetting, case: dict[str, Any]) -> str:
    try:
        choose(setting, **case)
    except AccessError as error:
        return error.reason
    return ""


def _accepted(setting: StrategySetting, case: dict[str, Any]) -> Strategy | None:
    try:
        return choose(setting, **case)
    except AccessError:
        return None


@given(_fleets())
def test_agent_is_never_root(case: dict[str, Any]) -> None:
    """Whatever the setting and its group; an agent of another uid may have the group root."""
    for setting in get_args(StrategySetting):
        if case["agent"].uid == 0:
            with pytest.raises(AccessError, match="Claude Code refuses"):
                choose(setting, **case)
        else:
            assert "would be root" not in _refusal(setting, case)


@given(_hosts, _any_users)
def test_only_a_root_image_makes_its_agent_root(host: Ids, image_user: Ids) -> None:
    agent = agent_of(host, image_user)
    assert (agent.uid == 0) == (image_user.uid == 0 and host.uid in (0, 1000))


@pytest.mark.parametrize(
    ("host", "agent"),
    [
        (Ids(0, 0), Ids(1001, 1002)),
        (Ids(1000, 100), Ids(1001, 1002)),
        (Ids(1500, 1600), Ids(1500, 1600)),
        (Ids(1001, 100), Ids(1001, 100)),
    ],
)
def test_agent_has_the_hosts_ids_unless_the_host_is_root_or_1000(host: Ids, agent: Ids) -> None:
    assert agent_of(host, Ids(1001, 1002)) == agent


@given(_hosts, _any_users)
def test_only_a_root_host_runs_agents_as_the_image_user_with_a_session_driver(host: Ids, image_user: Ids) -> None:
    assert agent_of(host, image_user, driver=True) == (image_user if host.uid == 0 else host)


@given(_hosts, _any_users)
def test_session_driver_changes_the_agent_of_uid_1000_alone(host: Ids, image_user: Ids) -> None:
    assume(host.uid != 1000)
    assert agent_of(host, image_user, driver=True) == agent_of(host, image_user, driver=False)


@given(_squashes(), st.builds(Ids, _uids, _uids))
def test_squash_maps_exactly_the_ids_it_names(squash: Squash, ids: Ids) -> None:
    mapped = squash.map_ids(ids)
    if squash.maps == "all":
        assert mapped == squash.anonymous
    elif squash.maps == "root":
        assert mapped.uid == (squash.anonymous.uid if ids.uid == 0 else ids.uid)
        assert mapped.gid == (squash.anonymous.gid if ids.gid == 0 else ids.gid)
    else:
        assert mapped == ids


@given(_squashes())
def test_options_of_a_squash_parse_back_to_it(squash: Squash) -> None:
    assert parse_squash(squash.options()) == squash


_flags = st.lists(st.sampled_from(["root_squash", "no_root_squash", "all_squash", "no_all_squash"]), max_size=6)


def _last(options: list[str], flag: str, default: bool) -> bool:
    """Whether a flag is set after all options, as exports(5) and nfsd_setuser have it."""
    states = [not option.startswith("no_") for option in options if option.removeprefix("no_") == flag]
    return states[-1] if states else default


@given(_flags)
def test_last_of_each_squash_flag_wins(options: list[str]) -> None:
    everybody, root = _last(options, "all_squash", False), _last(options, "root_squash", True)
    assert parse_squash(options).maps == ("all" if everybody else "root" if root else "none")


@given(st.permutations(["all_squash", "no_root_squash", "anonuid=1000", "anongid=1000"]))
def test_all_squash_wins_over_no_root_squash_in_any_order(options: list[str]) -> None:
    assert parse_squash(options) == Squash("all", Ids(1000, 1000))


def test_no_options_mean_the_default_of_exports_5() -> None:
    assert parse_squash([]) == Squash("root", Ids(NOBODY, NOBODY))


@pytest.mark.parametrize(
    "option", ["rw", "insecure", "anonuid", "anonuid=-2", "anonuid=node", "anonuid=9" * 3, "", "²"]
)
def test_other_options_are_refused_as_squash(option: str) -> None:
    with pytest.raises(ValueError, match="none of no_root_squash, root_squash, all_squash"):
        parse_squash([option])


@given(_fleets())
def test_auto_is_refused_only_if_every_strategy_is_refused(case: dict[str, Any]) -> None:
    chosen = _accepted("auto", case)
    possible = [access for access in get_args(StrategyName) if _accepted(access, case)]
    assert (chosen is None) == (possible == [])
    assert chosen is None or chosen.name in possible


@given(_fleets(), _settings)
def test_chosen_strategy_makes_the_agent_own_sessions(case: dict[str, Any], setting: StrategySetting) -> None:
    """The collapsed rule: host and agent are one to the server, or the host is root there and chowns."""
    choice = _accepted(setting, case)
    assume(choice is not None)
    assert choice is not None
    squash: Squash | None = case["squash"]
    if squash is None and case["managed"]:
        squash = squash_for(choice.name, case["agent"])
    if squash is None:
        return  # Another server that says nothing: it is for the probe to find out.
    host, agent, root = (squash.map_ids(ids) for ids in (case["host"], case["agent"], ROOT))
    if choice.name == "chown":
        assert host.uid == 0 and root.uid == 0
    else:
        assert host.uid == agent.uid
    assert agent.uid != 0
    assert root.uid in (0, agent.uid), "dockerd could not make mount points"


@given(_hosts, _image_users)
def test_squash_strategy_makes_the_agent_own_every_file(host: Ids, image_user: Ids) -> None:
    agent = agent_of(host, image_user)
    squash = squash_for("squash", agent)
    assert squash.map_ids(host) == squash.map_ids(agent) == squash.map_ids(ROOT) == agent


@given(_hosts, _image_users, _settings)
def test_stating_the_roles_own_options_keeps_the_strategy(host: Ids, image_user: Ids, setting: StrategySetting) -> None:
    """An operator who states what the role would write anyway is not refused, and gets the same strategy."""
    agent = agent_of(host, image_user)
    choice = _accepted(setting, {"host": host, "agent": agent, "managed": True, "squash": None})
    assume(choice is not None)
    assert choice is not None
    squash = squash_for(choice.name, agent)
    again = choose(setting, host, agent, managed=True, squash=squash)
    assert again.name == choice.name


@given(_hosts, _image_users)
def test_managed_server_always_offers_squash(host: Ids, image_user: Ids) -> None:
    assert choose("auto", host, agent_of(host, image_user), managed=True, squash=None).name == "squash"


@given(_fleets(), _settings)
def test_every_refusal_names_remedies_that_are_accepted(case: dict[str, Any], setting: StrategySetting) -> None:
    try:
        choose(setting, **case)
    except AccessError as error:
        assert error.ways
        assert str(error).startswith(error.reason)
        for way in error.ways:
            _apply(way, case, setting)
    else:
        assume(False)


def _apply(way: dict[str, Any], case: dict[str, Any], setting: StrategySetting) -> None:
    changed = dict(case)
    assert set(way) <= {"pods_access", "pods_export_options", "nanoclaw_uid", "nanoclaw_image_uid"}
    if "pods_export_options" in way:
        options = way["pods_export_options"]
        assert not case["local"] and (options is None) == case["managed"]
        changed["squash"] = None if options is None else parse_squash(options)
    if "nanoclaw_image_uid" in way:
        changed["agent"] = agent_of(case["host"], Ids(way["nanoclaw_image_uid"], case["agent"].gid))
    if "nanoclaw_uid" in way:
        changed["host"] = Ids(way["nanoclaw_uid"], case["host"].gid)
        changed["agent"] = agent_of(changed["host"], case["agent"])
    choose(way.get("pods_access", setting), **changed)


@given(_squashes(), _hosts, _image_users, _accesses, st.booleans())
def test_squash_to_root_and_plain_root_squash_are_refused(
    squash: Squash, host: Ids, image_user: Ids, access: StrategyName, managed: bool
) -> None:
    case = {"host": host, "agent": agent_of(host, image_user), "managed": managed, "squash": squash}
    if squash.maps != "none" and squash.anonymous.uid == 0:
        assert _accepted(access, case) is None
    if squash == Squash("root"):
        assert _accepted(access, case) is None, "plain root_squash"
