"""Steps of the checkout and the build from their state."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyinfra.api.exceptions import OperationError

from files.pods.source.protocol import CheckoutState
from tasks.model.host.checkout import build_drift, checkout_drift, checkout_problem, same_repository, without_password
from tasks.operations import checkout as operations
from tests.builders import local_plan
from tests.unit.conftest import Execute

URL = "https://git.invalid/nanoclaw.git"
SOURCE: dict[str, str | None] = {"commit": "a" * 40, "lock": "l", "package": "p", "node": "22"}


plan = partial(local_plan, nanoclaw_repository=URL, nanoclaw_ref="v2")


DONE = CheckoutState(
    git=True,
    link=False,
    owners={".": (1000, 1000), "data": (1000, 1000), ".git": (1000, 1000)},
    foreign=[],
    remote=URL,
    commit="a" * 40,
    desired="a" * 40,
    unresolved=None,
    changed=[],
    pnpm_pin="10.33.0",
    pnpm_digest=None,
    pnpm="10.33.0",
    tools_missing=False,
    built={**SOURCE, "finished": 1.0},
    source=SOURCE,
    outputs=True,
)
BARE = replace(
    DONE,
    owners={".": None, "data": None, ".git": None},
    remote=None,
    commit=None,
    desired=None,
    built=None,
    outputs=False,
)
OLD = replace(DONE, commit="b" * 40)


def test_finished_checkout_is_left_alone() -> None:
    assert (checkout_problem(DONE, plan()), checkout_drift(DONE, plan()), build_drift(DONE)) == (None, [], [])


@pytest.mark.parametrize(
    ("current", "data", "texts"),
    [
        (replace(BARE, link=True), {}, ["symbolic link", "nanoclaw_root"]),
        (replace(BARE, foreign=["notes.txt"]), {}, ["notes.txt", "move that away"]),
        (replace(DONE, desired=None, unresolved="no answer"), {}, ["no answer", "nanoclaw_ref"]),
        (replace(OLD, remote="https://git.invalid/fork.git"), {}, ["fork.git", "remote set-url"]),
        (replace(OLD, changed=["src/index.ts"]), {}, ["src/index.ts", '"stash"']),
    ],
)
def test_refusal_names_the_way_out(current: CheckoutState, data: dict[str, Any], texts: list[str]) -> None:
    problem = checkout_problem(current, plan(**data))
    assert problem is not None
    assert all(word in problem for word in texts)


def test_wrong_remote_is_repaired() -> None:
    current = replace(DONE, remote="https://git.invalid/fork.git")
    assert checkout_problem(current, plan()) is None
    assert len(checkout_drift(current, plan())) == 1


def test_owners_on_nfs_are_left_to_the_server() -> None:
    assert checkout_drift(replace(DONE, owners={}), plan()) == []
    assert checkout_drift(replace(DONE, owners={**DONE.owners, "data": (0, 0)}), plan())


@pytest.mark.parametrize("name", SOURCE)
def test_any_changed_source_needs_a_build(name: str) -> None:
    assert len(build_drift(replace(DONE, source={**SOURCE, name: "other"}))) == 1
    assert build_drift(replace(DONE, outputs=False))
    assert build_drift(replace(DONE, built=None))


names = st.text("abcdefgh0123456789-", min_size=1)


@given(names, names, names)
def test_password_is_not_shown_and_not_compared(user: str, password: str, path: str) -> None:
    bare = f"https://git.invalid/{path}"
    assert without_password(f"https://{user}:{password}@git.invalid/{path}") == bare
    assert same_repository(bare, f"https://{user}:{password}@git.invalid/{path}.git")
    assert not same_repository(None, bare)


Run = Callable[..., list[str]]


@pytest.fixture
def run(execute: Execute) -> Run:
    return lambda operation, states, **data: execute(operation, states, plan(**data))


def test_second_run_does_nothing(run: Run) -> None:
    assert run(operations.checkout, [DONE]) == []
    assert run(operations.build, [DONE]) == []


def test_first_run_fetches_then_writes(run: Run) -> None:
    fetch, move = run(operations.checkout, [BARE, replace(BARE, desired="a" * 40)])
    program, request = fetch.split(" ", 1)
    assert program == "source.fetch"
    assert json.loads(request)["fetch"] is True
    assert json.loads(request)["mounts"] == ["/opt/nanoclaw/data/v2-sessions", "/opt/nanoclaw/groups"]
    assert move.startswith("source.switch_commit ")
    assert json.loads(move.split(" ", 1)[1])["stash"] is None


def test_wrong_remote_is_set_without_a_fetch(run: Run) -> None:
    (fetch,) = run(operations.checkout, [replace(DONE, remote="https://git.invalid/fork.git"), DONE])
    assert json.loads(fetch.split(" ", 1)[1])["fetch"] is False


def test_local_changes_in_the_way_are_refused_or_stashed(run: Run) -> None:
    fetched = replace(OLD, changed=["src/index.ts"])
    with pytest.raises(OperationError, match=r"src/index\.ts"):
        run(operations.checkout, [OLD, fetched])
    _fetch, move = run(operations.checkout, [OLD, fetched], nanoclaw_local_changes="stash")
    assert "before v2" in json.loads(move.split(" ", 1)[1])["stash"]


def test_pnpm_has_the_version_of_the_project(run: Run) -> None:
    other = replace(DONE, pnpm="9.0.0")
    install = 'machine.install_pnpm {"digest": null, "version": "10.33.0"}'
    assert run(operations.build, [other, DONE]) == [install]
    with pytest.raises(OperationError, match="remove that one"):
        run(operations.build, [other, other])
    with pytest.raises(OperationError, match="packageManager"):
        run(operations.build, [replace(DONE, pnpm=None, pnpm_pin=None)])
    assert run(operations.build, [replace(DONE, pnpm_pin=None)]) == []


def test_compiler_is_installed_if_a_build_may_need_it(run: Run) -> None:
    update, install, build = run(operations.build, [replace(DONE, built=None, tools_missing=True)])
    assert "update" in update
    assert install.endswith("g++ make")
    assert build.startswith("source.build ")
    assert run(operations.build, [replace(DONE, tools_missing=True)]) == []
