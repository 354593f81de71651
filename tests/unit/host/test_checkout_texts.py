"""What is refused of a checkout and what differs in it, to the letter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from files.pods.source.protocol import CheckoutState
from tasks.model.access.identity import NOBODY
from tasks.model.host.checkout import (
    build_drift,
    checkout_drift,
    checkout_problem,
    moves,
    previous_owners,
    same_repository,
    without_password,
)
from tests.unit.source.test_checkout import BARE, DONE, URL, plan

OTHER = replace(DONE, desired="b" * 40)
ROOT = "/opt/nanoclaw"


@pytest.mark.parametrize(
    ("current", "data", "text"),
    [
        (DONE, {}, None),
        (
            replace(DONE, link=True),
            {},
            f"{ROOT} is a symbolic link, and NanoClaw needs the real path: set nanoclaw_root to that",
        ),
        (
            replace(BARE, foreign=[".git", "a"]),
            {},
            f"{ROOT}/.git is no directory: {ROOT} is a linked worktree or a submodule (git-worktree(1)), and NanoClaw "
            f"needs a repository of its own. Make one with git clone --no-local {ROOT} DIRECTORY, and set "
            "nanoclaw_root to that",
        ),
        (
            replace(BARE, foreign=["a", "b"]),
            {},
            f"{ROOT} is no git checkout and holds a, b: move that away, or set nanoclaw_root to another directory",
        ),
        (
            replace(BARE, unresolved="no such ref"),
            {"nanoclaw_repository": "ssh://ada@git.invalid/n.git"},
            "nanoclaw_ref v2 is not known from ssh://git.invalid/n.git: no such ref; correct nanoclaw_ref or "
            "nanoclaw_repository, or make it reachable (a tag or commit that is checked out already needs no network)",
        ),
        (
            replace(OTHER, remote="https://other.invalid/n.git"),
            {},
            f"{ROOT} was checked out from https://other.invalid/n.git and v2 is of another repository: set "
            f"nanoclaw_repository to https://other.invalid/n.git, or run git -C {ROOT} remote set-url origin URL",
        ),
        (replace(DONE, remote="https://other.invalid/n.git"), {}, None),
        (replace(BARE, remote="https://other.invalid/n.git"), {}, None),
        (
            replace(OTHER, changed=["a", "b"]),
            {},
            f"v2 changes files that were changed on this machine: a, b; commit them in {ROOT}, or set "
            'nanoclaw_local_changes to "stash" to stash them',
        ),
        (replace(OTHER, changed=["a"]), {"nanoclaw_local_changes": "stash"}, None),
    ],
)
def test_a_checkout_that_cannot_become_what_it_should_is_refused(
    current: CheckoutState, data: dict[str, Any], text: str | None
) -> None:
    assert checkout_problem(current, plan(**data)) == text


@pytest.mark.parametrize(
    ("current", "drift"),
    [
        (DONE, []),
        (OTHER, ["aaaaaaaaaaaa is checked out, not v2"]),
        (replace(DONE, desired=None), ["aaaaaaaaaaaa is checked out, not v2"]),
        (replace(DONE, remote=None), ["the remote origin is missing, and nothing else differs: it is set"]),
        (replace(DONE, remote="x"), ["the remote origin is x, and nothing else differs: it is set"]),
        (
            replace(BARE, owners={".": None, "data": (0, 0), ".git": None}),
            [
                "nothing is checked out, not v2",
                f"{ROOT}/.: owner None, not 1000:1000",
                f"{ROOT}/data: owner 0:0, not 1000:1000",
            ],
        ),
        (
            replace(DONE, owners={".": (1000, 1000), ".git": (7, 1000)}),
            [f"{ROOT}/.git: owner 7:1000, not 1000:1000"],
        ),
        (replace(DONE, owners={}), []),
    ],
)
def test_drift_of_a_checkout_is_named(current: CheckoutState, drift: list[str]) -> None:
    assert checkout_drift(current, plan()) == drift
    assert moves(current) == any("checked out" in line for line in drift)


@pytest.mark.parametrize(
    ("owners", "uids"),
    [
        ({".git": (1700, 1800), ".": (5, 5)}, {1700, 0, NOBODY, 1000}),
        ({".git": (0, 0)}, {0, NOBODY, 1000}),
        ({".git": None, ".": (5, 5)}, set()),
        ({}, set()),
    ],
)
def test_a_new_host_user_takes_over_what_the_one_before_root_and_nobody_had(
    owners: dict[str, tuple[int, int] | None], uids: set[int]
) -> None:
    assert previous_owners(replace(DONE, owners=owners), plan()) == uids


def test_the_reason_of_a_build_is_named() -> None:
    assert build_drift(DONE) == []
    assert build_drift(replace(DONE, built=None)) == ["there is no finished build"]
    before = {"commit": "b" * 40, "lock": "l", "package": None}
    assert build_drift(replace(DONE, built=before, outputs=False)) == [
        "commit was bbbbbbbbbbbb, is aaaaaaaaaaaa",
        "package was None, is p",
        "node was None, is 22",
        "dist/index.js or node_modules is missing",
    ]
    assert build_drift(replace(DONE, outputs=False)) == ["dist/index.js or node_modules is missing"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (URL, URL),
        ("https://ada:x@git.invalid/a@b", "https://git.invalid/a@b"),
        ("https://a@b@git.invalid:8443", "https://git.invalid:8443"),
        ("git@git.invalid:n.git", "git@git.invalid:n.git"),
        ("file:///srv/n.git", "file:///srv/n.git"),
    ],
)
def test_a_url_loses_what_may_be_a_password_and_nothing_else(url: str, shown: str) -> None:
    assert without_password(url) == shown


@pytest.mark.parametrize(
    ("one", "same"),
    [
        (URL, True),
        ("https://ada:x@git.invalid/nanoclaw", True),
        ("https://git.invalid/nanoclaw/", True),
        ("https://git.invalid/nanoclaw.git/", True),
        ("https://git.invalid/nanoclaw.gitx", False),
        ("http://git.invalid/nanoclaw.git", False),
        (None, False),
    ],
)
def test_urls_of_one_repository_are_known_whatever_their_end(one: str | None, same: bool) -> None:
    assert same_repository(one, URL) is same
