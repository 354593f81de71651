"""The order of NanoClaw's versions."""

from __future__ import annotations

from itertools import pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.model.versions.version_order import is_later, release_version

ASCENDING = (
    *("0.0.0", "1.1.6", "1.2.53", "2.0.0", "2.0.5", "2.0.10", "2.0.64", "2.1.0-alpha.9", "2.1.0-rc.1", "2.1.0-rc.2"),
    *("2.1.0-rc.10", "2.1.0", "2.1.24", "2.4.0-rc.1", "2.4.0", "2.10.0", "2026.9.3", "2026.10.0-rc.2", "2026.10.0"),
    *("2026.10.1", "2027.1.0"),
)
UNREADABLE = (
    "",
    "main",
    "2",
    "2.1",
    "2.1.x",
    "2.1.0.1",
    "v",
    "vv2.1.0",
    "2.1.0-",
    "2.1.0 ",
    "2.1.0\n",
    "².1.0",
    "-1.0.0",
)


def test_versions_ascend() -> None:
    for earlier, later in pairwise(ASCENDING):
        assert (is_later(later, earlier), is_later(earlier, later)) == (True, False), (earlier, later)


@pytest.mark.parametrize("text", ASCENDING)
def test_a_tag_names_its_version(text: str) -> None:
    assert release_version(f"v{text}") == release_version(text) == release_version(f"{text}+site.3") is not None
    assert is_later(f"v{text}", text) is False


@pytest.mark.parametrize("text", [*UNREADABLE, None, "1" * 10 + ".0.0"])
def test_another_text_has_no_place_in_the_order(text: str | None) -> None:
    assert release_version(text) is None
    assert is_later(text, "2.0.64") is is_later("2.0.64", text) is is_later(text, text) is None


numbers = st.integers(0, 12) | st.integers(2026, 2028)
identifiers = st.sampled_from(["rc", "alpha", "rc-1", "0x"]) | st.integers(0, 12).map(str)
candidates = st.lists(identifiers, max_size=3).map(".".join)
versions = st.builds(
    lambda parts, candidate: ".".join(map(str, parts)) + (f"-{candidate}" if candidate else ""),
    st.tuples(numbers, numbers, numbers),
    candidates,
)


@given(st.lists(versions, min_size=3, max_size=3))
def test_the_order_is_total(three: list[str]) -> None:
    for one, other in permutations(three, 2):
        same = release_version(one) == release_version(other)
        assert [is_later(one, other), is_later(other, one), same].count(True) == 1
    for one, other, last in permutations(three):
        if is_later(one, other) and is_later(other, last):
            assert is_later(one, last)


@given(versions, versions)
def test_a_candidate_comes_before_its_release_and_numbers_decide_first(one: str, other: str) -> None:
    first, second = one.partition("-")[0], other.partition("-")[0]
    if first == second:
        assert is_later(one, first) is False
    else:
        assert is_later(one, other) is is_later(first, second)
