"""From what was seen on an export to the squash that does it: the inverse of `Squash.seen`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from files.pods.nfs.protocol import ServerObservation
from tasks.model.access.choose_strategy import AccessError, StrategySetting, choose
from tasks.model.access.identity import NOBODY, ROOT, Ids, Squash, agent_of
from tasks.model.access.observed_refusals import Wish, refusals
from tasks.model.access.observed_squash import (
    contradiction,
    description,
    mapping_is_broken,
    observed_squash,
)
from tasks.model.access.strategy import NEEDED, expected_life

A = Ids(1000, 1000)

_ids = st.builds(Ids, *[st.sampled_from([1000, 1001, 1500]) | st.integers(1, NOBODY - 1)] * 2)
_anonymous = _ids | st.just(Ids(NOBODY, NOBODY)) | st.just(A)
_squashes = st.builds(Squash, st.sampled_from(["none", "root", "all"]), _anonymous)
_groups = st.none() | st.sampled_from([0, 100, 1000])


def observed_by(squash: Squash, host: Ids, agent: Ids, group: int | None = None) -> ServerObservation:
    """What the program prints where everybody may make a directory. `group`: what all inherit from the export."""
    owners = {"host": squash.map_ids(host), "agent": squash.map_ids(agent), "root": squash.map_ids(ROOT)}
    made: Any = {name: [ids.uid, ids.gid if group is None else group] for name, ids in owners.items()}
    root = squash.map_ids(ROOT)
    own = root.uid == made["host"][0] == agent.uid and agent.gid in (root.gid, made["host"][1])
    point = None if root.uid in (0, squash.map_ids(agent).uid) else "EACCES"
    return ServerObservation("seen", "", made, None if root.uid == 0 or own else "EPERM", True, point, [])


def observation(host: Any = "EACCES", agent: Any = "EACCES", root: Any = "EACCES", **more: Any) -> ServerObservation:
    made = {"host": host, "agent": agent, "root": root}
    some = isinstance(host, list) or isinstance(root, list)
    return ServerObservation(**{**_OBSERVED, "made": made, "directory_made": some, **more})


_OBSERVED: dict[str, Any] = {"state": "seen", "text": "", "chown": None, "mount_point": None, "left": []}


@settings(deadline=None)
@given(_ids | st.just(ROOT), _ids, _squashes, _groups)
def test_observed_squash_maps_every_process_as_the_server_does(
    host: Ids, image_user: Ids, squash: Squash, group: int | None
) -> None:
    agent = agent_of(host, image_user)
    observed = observed_by(squash, host, agent, group)
    result = observed_squash(observed, host, agent)
    assert result is not None
    assert [result.map_ids(ids).uid for ids in (host, agent, ROOT)] == [
        squash.map_ids(ids).uid for ids in (host, agent, ROOT)
    ]
    assert contradiction(observed, squash, host, agent) is None
    lives = [expected_life("native", host, agent, each) for each in (result, squash)]
    assert [lives[0][action].outcome for action in NEEDED] == [lives[1][action].outcome for action in NEEDED]


@settings(deadline=None)
@given(_ids | st.just(ROOT), _ids, _squashes, _squashes, st.sampled_from(["auto", "squash", "chown", "native"]))
def test_remedy_of_a_contradiction_resolves_it(
    host: Ids, image_user: Ids, squash: Squash, stated: Squash, setting: StrategySetting
) -> None:
    agent = agent_of(host, image_user)
    observed = observed_by(squash, host, agent)
    text = contradiction(observed, stated, host, agent, setting)
    differs = any(squash.map_ids(ids).uid != stated.map_ids(ids).uid for ids in (host, agent, ROOT))
    assert (text is not None) == differs
    if text is None:
        return
    result = observed_squash(observed, host, agent)
    assert result is not None and contradiction(observed, result, host, agent, setting) is None
    try:
        choose(setting, host, agent, managed=False, squash=result)
    except AccessError as error:
        assert text.endswith(f": {error}")
    else:
        assert text.endswith(f": set pods_export_options to what the server does, {list(result.options())!r}")


@pytest.mark.parametrize(
    ("observed", "host", "squash"),
    [
        (observation([0, 100], [1000, 100], [0, 100]), ROOT, Squash("none")),
        (observation([1000, 100], [1000, 100]), A, Squash("root")),
        (observation("EACCES", [1000, 1000]), ROOT, Squash("root")),
        (observation([1000, 1000], [1000, 1000], "EPERM"), A, Squash("root")),
        (observation([1000, 1000], [1000, 1000], "EIO"), A, None),
        (observation("EACCES", "EACCES", [0, 0]), A, Squash("none")),
        (observation([1500, 1500], [1600, 1600], [0, 0]), A, None),
        (observation(), A, None),
    ],
)
def test_observed_squash_follows_from_uids_and_rights_alone(
    observed: ServerObservation, host: Ids, squash: Squash
) -> None:
    assert observed_squash(observed, host, A) == squash


@pytest.mark.parametrize("root", ["EACCES", "EPERM"])
def test_refused_root_contradicts_no_root_squash(root: str) -> None:
    text = contradiction(observation([1000, 1000], [1000, 1000], root), Squash("none"), A, A)
    assert (
        text is not None
        and f"with no_root_squash root could create entries, but the server refuses it ({root})" in text
    )


def test_root_that_may_not_chown_contradicts_no_root_squash() -> None:
    text = contradiction(observation([1000, 1000], [1000, 1000], "EIO", chown="EPERM"), Squash("none"), A, A)
    assert text == (
        "with no_root_squash root could chown files, but the server refuses it (EPERM): "
        "let the server export as pods_export_options states"
    )


def test_unobserved_server_has_no_known_squash() -> None:
    silent = ServerObservation("ETIMEDOUT", "no end within 20 s", {}, None, False, None, ["x-*, perhaps"])
    assert observed_squash(silent, ROOT, A) is None
    assert description(silent) == "not observed: no end within 20 s; left there: x-*, perhaps"


@pytest.mark.parametrize("chown", ["EINVAL", None])
def test_broken_id_mapping_is_not_taken_for_a_squash(chown: str | None) -> None:
    nobody = observation([NOBODY, NOBODY], [NOBODY, NOBODY], [NOBODY, NOBODY], chown=chown)
    assert mapping_is_broken(nobody, A)
    assert observed_squash(nobody, ROOT, A) is None


def test_all_squash_to_nobody_is_not_taken_for_broken_mapping() -> None:
    nobody = observed_by(Squash("all"), ROOT, A)
    assert not mapping_is_broken(nobody, A)
    assert observed_squash(nobody, ROOT, A) == Squash("all")


_WISH = Wish("/vol/pods", "auto", ROOT, A, None)
_RESTRICTED = observation([0, 0], [1000, 1000], [0, 0], chown="EPERM")


@pytest.mark.parametrize(
    ("observed", "key", "text"),
    [
        (None, "pods_server", "could not observe how the server maps ids"),
        (observation(), "pods_server", "chown /vol/pods to the agent (1000:1000) on the server"),
        (
            observation("EROFS", "EROFS", "EROFS"),
            "pods_server",
            "refused (EROFS): nobody may create anything there; let the",
        ),
        (observation("EACCES", "EACCES", "ENOSPC"), "pods_server", "free some space"),
        (observation("EIO", "EIO", "EIO"), "pods_server", "see the logs"),
        (observation("EIO", [1000, 1000], "EIO"), "pods_server", "which fits no squash option"),
        (
            observation(state="EACCES", text="denied"),
            "pods_server",
            "(EACCES): let the server export /vol/pods to this host's address",
        ),
        (
            observation(state="ETIMEDOUT", text=""),
            "pods_server",
            "(ETIMEDOUT): start the server, or let this host reach it",
        ),
        (_RESTRICTED, "pods_access", "does not let root chown files (EPERM: it restricts chown)"),
        (
            observation([1000, 1000], [1000, 1000], [1000, 1000], mount_point="EACCES"),
            "pods_server",
            "dockerd cannot make /workspace/agent, and no container starts",
        ),
    ],
)
def test_unworkable_or_unobserved_server_is_refused(observed: ServerObservation | None, key: str, text: str) -> None:
    ((refused_key, why),) = refusals(_WISH, observed)
    assert refused_key == key and text in why


@settings(deadline=None)
@given(_ids | st.just(ROOT), _ids, _squashes, _groups)
def test_working_server_is_not_refused(host: Ids, image_user: Ids, squash: Squash, group: int | None) -> None:
    agent = agent_of(host, image_user)
    for stated in (None, squash):
        assert list(refusals(Wish("/vol", "auto", host, agent, stated), observed_by(squash, host, agent, group))) == []


def test_restricted_chown_is_accepted_where_nothing_is_chowned() -> None:
    native = replace(_WISH, host=A)
    assert list(refusals(native, replace(_RESTRICTED, made={**_RESTRICTED.made, "host": [1000, 1000]}))) == []
