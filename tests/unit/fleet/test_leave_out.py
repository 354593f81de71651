"""How the rest of a run goes on without hosts that were refused."""

from __future__ import annotations

import shlex
from fnmatch import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.model.fleet.leave_out import NAMED, advice, refused_hosts
from tasks.model.fleet.plan import Problem


def problems(*names: str) -> list[Problem]:
    return [Problem(name, "machine", "is in the way", "in-the-way") for name in names]


def test_only_hosts_of_the_run_can_be_left_out() -> None:
    assert refused_hosts(problems("oslo", "bergen", "oslo"), {"oslo", "bergen", "moss"}) == {"oslo", "bergen"}
    assert refused_hosts(problems("oslo", "nfs1"), {"oslo", "bergen"}) == frozenset()
    assert refused_hosts([], {"oslo"}) == frozenset()


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["oslo"], "to go on without this host, add --exclude oslo"),
        (["oslo", "bergen"], "to go on without these hosts, add --exclude bergen --exclude oslo"),
        (["web[1]"], "to go on without this host, add --exclude 'web[[]1]'"),
        (
            [str(n) for n in range(NAMED + 1)],
            "to go on without these 21 hosts, make a group of them and add --exclude GROUP",
        ),
    ],
)
def test_the_advice_names_what_to_add(names: list[str], text: str) -> None:
    assert advice(names) == text


def test_as_many_as_an_operator_copies_are_named() -> None:
    assert advice([str(n) for n in range(NAMED)]).count("--exclude") == NAMED


@given(st.text(min_size=1, max_size=20))
def test_an_exclusion_matches_its_host(name: str) -> None:
    option, pattern = shlex.split(advice([name]).partition(", add ")[2])
    assert option == "--exclude" and fnmatch(name, pattern)
