"""A host that serves changes its version: no message is lost, and where anything fails the old version serves again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.fleet import Fleet
from tests.e2e.interruptions import KINDS, Interruption, journal
from tests.e2e.message_load import load
from tests.e2e.sample import sampled
from tests.e2e.version_changes import VERSION, assert_serves, fail_gate, interrupt_and_check
from tests.lab.shell import say

NAME, OLD, NEW = "host-1500", "v2.0.64", "v2.1.17"


@pytest.fixture
def old(fleet: Fleet) -> Iterator[Fleet]:
    """A host with the old version, freshly installed before and after: no change of version leads back to it."""
    yield fleet
    fleet.lab.reset(NAME)


@sampled(900)
def test_change_under_load_loses_no_message(old: Fleet) -> None:
    fleet = old
    assert fleet.send_message(NAME, "before", session="kept") == "echo: before"
    fail_gate(fleet, NAME, NEW, version="2.0.64")
    fleet.data[NAME]["nanoclaw_ref"] = NEW
    with load(fleet, NAME, "load") as sent:
        run = fleet.deploy("--limit", "server", "--limit", NAME)
    assert ("Version | Stage the new version", NAME) in run.changed
    assert_serves(fleet, NAME, "after", version="2.1.17")
    sent.assert_each_answered_once_in_order()
    document = journal(fleet, NAME, VERSION)
    assert document["state"] == "finished"
    seconds = document["serving"] - document["stopped"]
    say(f"{NAME}: {seconds:.1f} s without service, {sent.seconds_without_service():.1f} s between two messages")
    assert sent.seconds_without_service() < seconds + 30
    assert fleet.deploy("--limit", "server", "--limit", NAME).changed == set()


@sampled(900)
@pytest.mark.parametrize("step", ["drain", "switch-source", "gate"])
def test_interrupted_change_leaves_a_version_that_serves(old: Fleet, step: str) -> None:
    fleet = old
    assert fleet.send_message(NAME, "before", session="kept") == "echo: before"
    fleet.data[NAME]["nanoclaw_ref"] = NEW
    for kind in KINDS:
        if interrupt_and_check(fleet, NAME, Interruption(kind, step), ("2.0.64", "2.1.17")):
            break
    fleet.deploy("--limit", "server", "--limit", NAME)
    assert_serves(fleet, NAME, "after all", version="2.1.17")
