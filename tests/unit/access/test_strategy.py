"""Chosen strategies, and the remedies of refusals, allow every action of a session."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tasks.model.access.choose_strategy import AccessError, StrategySetting, choose
from tasks.model.access.identity import HIGHEST_ID, NOBODY, ROOT, Ids, Squash, agent_of, parse_squash
from tasks.model.access.session_lifecycle import ACTIONS, Action, Case, live
from tasks.model.access.storage import Node, Process, Storage
from tasks.model.access.strategy import StrategyName, squash_for

A, HOST = Ids(1000, 1000), Ids(1500, 1500)
TO_AGENT, PLAIN, NONE = Squash("all", A), Squash("root"), Squash("none")

_ids = st.builds(Ids, *[st.sampled_from([0, 1000, 1001, 1500, NOBODY]) | st.integers(0, HIGHEST_ID)] * 2)
_users = _ids.filter(lambda ids: ids.uid != 0)
_squashes = st.builds(Squash, st.sampled_from(["none", "root", "all"]), _ids)


def not_allowed(access: StrategyName, host: Ids, image_user: Ids, storage: Storage) -> dict[Action, str | None]:
    """What a session needs and may not under a strategy, in a tree as the role makes it: the agent's, or root's.

    Nothing of it is taken from how strategies are chosen.
    """
    agent = agent_of(host, image_user)
    stored = storage.acting(Process("", agent)).ids
    tree = Node(ROOT if access == "chown" else stored, 0o755)
    case = Case(host, image_user, storage, tree, chown_by="guard" if access == "chown" else "nobody")
    life = live(case)
    needed = [action for action in ACTIONS if "chowns" not in action]
    if access == "chown":
        needed.append("guard chowns the tree to the agent")
    return {action: life[action].errno for action in needed if life[action].outcome != "allowed"}


def storages(squash: Squash | None, *, local: bool) -> list[Storage]:
    return [Storage("local")] if local else [Storage("nfs3", squash), Storage("nfs4", squash)]


@st.composite
def _fleets(draw: st.DrawFn) -> dict[str, Any]:
    """A host, an image's USER, and where the pods are: on the role's server, on another one, or on the host itself."""
    place = draw(st.sampled_from(["managed", "other", "local"]))
    squash = draw(st.none() | _squashes) if place != "local" else NONE
    host = draw(st.sampled_from([ROOT, A, HOST]) | _users)
    image_user = draw(st.sampled_from([A, ROOT, Ids(1001, 1001), host]) | _ids)
    setting = draw(st.sampled_from(get_args(StrategySetting)))
    place_settings = {"managed": place == "managed", "squash": squash, "local": place == "local"}
    return {"setting": setting, "host": host, "image_user": image_user, **place_settings}


def chosen(fleet: dict[str, Any]) -> StrategyName:
    case = {key: value for key, value in fleet.items() if key != "image_user"}
    return choose(**case, agent=agent_of(fleet["host"], fleet["image_user"])).name


def require_a_life(fleet: dict[str, Any]) -> None:
    """That all of a session's needs are allowed with the strategy that is chosen for this fleet."""
    access, squash = chosen(fleet), fleet["squash"]
    if squash is None and fleet["managed"]:
        squash = squash_for(access, agent_of(fleet["host"], fleet["image_user"]))
    for storage in storages(squash, local=fleet["local"]):
        assert not_allowed(access, fleet["host"], fleet["image_user"], storage) == {}, (access, storage)


def changed(fleet: dict[str, Any], way: dict[str, Any]) -> dict[str, Any]:
    """The fleet after a way out is taken."""
    host, image = fleet["host"], fleet["image_user"]
    new = {
        **fleet,
        "setting": way.get("pods_access", fleet["setting"]),
        "host": Ids(way.get("nanoclaw_uid", host.uid), host.gid),
        "image_user": Ids(way.get("nanoclaw_image_uid", image.uid), image.gid),
    }
    if "pods_export_options" in way:
        options = way["pods_export_options"]
        new["squash"] = None if options is None else parse_squash(options)
    assert set(way) <= {"pods_access", "nanoclaw_uid", "nanoclaw_image_uid", "pods_export_options"}
    return new


@given(_fleets())
def test_chosen_strategy_allows_every_session_and_no_root_agent(fleet: dict[str, Any]) -> None:
    try:
        access = chosen(fleet)
    except AccessError:
        assume(False)
    agent = agent_of(fleet["host"], fleet["image_user"])
    assert agent.uid != 0
    if fleet["squash"] is not None or fleet["managed"]:
        require_a_life(fleet)
        return
    # A server that nobody knows of: nothing is denied yet, and the strategy works if it does what that asks for.
    for storage in storages(None, local=False):
        assert set(not_allowed(access, fleet["host"], fleet["image_user"], storage).values()) == {None}
    require_a_life({**fleet, "setting": access, "squash": squash_for(access, agent)})


@given(_fleets())
def test_every_remedy_of_a_refusal_allows_every_session(fleet: dict[str, Any]) -> None:
    try:
        chosen(fleet)
    except AccessError as refused:
        assert refused.ways
        for way in refused.ways:
            require_a_life(changed(fleet, way))
    else:
        assume(False)


@pytest.mark.parametrize(
    ("squash", "ways"),
    [
        (None, [{"nanoclaw_image_uid": 1000, "pods_export_options": list(TO_AGENT.options())}]),
        (PLAIN, [{"nanoclaw_image_uid": 1000, "pods_export_options": list(TO_AGENT.options())}]),
        (TO_AGENT, [{"nanoclaw_image_uid": 1000}]),
    ],
)
def test_refusal_of_a_root_agent_names_every_needed_change(squash: Squash | None, ways: list[Any]) -> None:
    with pytest.raises(AccessError) as refused:
        choose("auto", A, Ids(0, 1000), managed=False, squash=squash)
    assert refused.value.ways == ways


def test_no_remedy_is_a_strategy_with_unknown_effect() -> None:
    with pytest.raises(AccessError) as refused:
        choose("squash", ROOT, A, managed=False, squash=None)
    assert refused.value.ways == [{"pods_export_options": list(TO_AGENT.options())}]
