"""Doubts about how v1 runs are refused by name: its users' privacy depends on it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from files.pods.v1.running_state import Process, Unasked
from files.pods.v1.v1_state import Candidate, Home, Install, Mounts, Senders
from tasks.model.migration.doubts import agent_doubts, home_doubts, manager_doubts
from tasks.model.migration.plan import plan_migration
from tasks.model.migration.plan_text import render
from tasks.model.migration.refusals import Refusal, plan_refusal, refusals
from tests.unit.v1.v1_states import HOME, INSTALL, PATH, SPACES, UNIT, host, installs, v1_state

ONLY_ANDY = Senders("/srv/h/.config/nanoclaw/sender-allowlist.json", True, True, False, 0)
PAPERS = Mounts("/srv/h/.config/nanoclaw/mount-allowlist.json", True, True, 1)
ELSEWHERE = Home("/srv/h", True, "/etc/systemd/system/nanoclaw.service", 1, ONLY_ANDY, PAPERS)


def only(refused: list[Refusal]) -> str:
    (one,) = refused
    return str(one)


def test_doubt_names_homes_with_different_lists_and_their_sources() -> None:
    text = only(list(home_doubts(replace(INSTALL, homes=[HOME, ELSEWHERE]))))
    assert "/home/andy (by process 7, none there)" in text
    assert "/srv/h (by /etc/systemd/system/nanoclaw.service, sender-allowlist.json and mount-allowlist.json)" in text
    assert "restart v1" in text
    assert "run it as nanoclaw.service" in only(list(home_doubts(replace(INSTALL, homes=[HOME, ELSEWHERE], units=[]))))


def test_homes_with_equal_lists_raise_no_doubt() -> None:
    same = replace(ELSEWHERE, alike=HOME.alike)
    assert list(home_doubts(replace(INSTALL, homes=[HOME, same]))) == []


def test_sender_list_of_each_candidate_home_counts() -> None:
    """The order of the homes does not decide whether every chat becomes public."""
    for homes in ([HOME, ELSEWHERE], [ELSEWHERE, HOME], [ELSEWHERE]):
        install = replace(INSTALL, homes=homes)
        assert list(refusals(install, plan_migration(install, SPACES, host()), host()))


@given(installs)
def test_doubt_is_refused(install: Install) -> None:
    refused = list(refusals(install, plan_migration(install, SPACES, host()), host()))
    if len({home.alike for home in install.homes}) > 1 or install.unasked or install.containers is None:
        assert refused
    if any(unit.reload for unit in install.units):
        assert refused


def test_home_that_a_file_may_set_is_known_only_while_v1_runs() -> None:
    install = replace(INSTALL, units=[replace(UNIT, doubt="EnvironmentFile=/srv/env may set HOME")])
    assert list(home_doubts(install)) == []
    text = only(list(home_doubts(replace(install, processes=[]))))
    assert "EnvironmentFile=/srv/env may set HOME" in text
    assert "systemctl --user --machine=1001@ start nanoclaw.service" in text
    another = Process(8, 1001, PATH, "user", "nanoclaw.service", 1002)
    assert list(home_doubts(replace(install, processes=[another]))), "of another user's manager"


@pytest.mark.parametrize(
    ("unasked", "why", "way_out"),
    [
        (Unasked(None, "no answer"), "systemd does not say which services run v1 (no answer)", "systemctl status"),
        (Unasked(1001, "it does not run"), "of uid 1001 does not say whether it runs v1", "start user@1001.service"),
    ],
)
def test_refusal_names_a_silent_manager(unasked: Unasked, why: str, way_out: str) -> None:
    (refusal,) = manager_doubts(replace(INSTALL, unasked=[unasked]))
    assert why in refusal.why and way_out in refusal.way_out


def test_unit_that_needs_a_reload_is_refused() -> None:
    text = only(list(manager_doubts(replace(INSTALL, units=[replace(UNIT, reload=True)]))))
    assert "has changed since systemd read it" in text and "daemon-reload" in text


def test_agents_that_are_unknown_or_not_of_docker_are_refused() -> None:
    assert list(agent_doubts(INSTALL)) == []
    assert "Docker does not say" in only(list(agent_doubts(replace(INSTALL, containers=None))))
    assert "podman stop x" in only(list(agent_doubts(replace(INSTALL, containers=["podman:x", "nanoclaw-main-1"]))))


@given(st.lists(st.sampled_from(["v1", "v2", "absent"]), max_size=3), st.integers(0, 2))
def test_install_of_another_user_is_only_listed(kinds: list[str], trusted: int) -> None:
    ours = [Candidate(f"/opt/{number}", ["beside /opt/nanoclaw"], "v1") for number in range(trusted)]
    planted = [Candidate(f"/home/eve/{number}", ["by eve"], kind, False) for number, kind in enumerate(kinds)]  # type: ignore[arg-type]
    auto = host(nanoclaw_v1_dir="auto")
    install = replace(INSTALL, path="/opt/0") if trusted == 1 else None
    refused = [plan_refusal(v1_state(install, candidates=[*ours, *some]), auto) for some in ([], planted)]
    assert [one and one.why.split(",")[0].split(";")[0] for one in refused[:1]] == [
        one and one.why.split(",")[0].split(";")[0] for one in refused[1:]
    ]
    if install:
        state = v1_state(install, candidates=[*ours, *planted])
        text = "\n".join(render(state, install, plan_migration(install, SPACES, auto)))
        assert all(one.path in text for one in planted)
    elif planted and not trusted:
        assert refused[1] and planted[0].path in str(refused[1]) and "neither root nor the host user" in str(refused[1])


def test_unit_of_another_user_is_listed_and_blocks_nothing() -> None:
    install = replace(INSTALL, strangers=["/home/eve/.config/systemd/user/x.service of uid 1002"])
    plan = plan_migration(install, SPACES, host())
    assert list(refusals(install, plan, host())) == []
    assert "/home/eve/.config/systemd/user/x.service" in "\n".join(render(v1_state(install), install, plan))
