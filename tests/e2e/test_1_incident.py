"""The incident happens before the deploy. After it every host answers, with each strategy and kind of host."""

from __future__ import annotations

import pytest

from tests.e2e import incident
from tests.e2e.digest import assert_unchanged, digests
from tests.e2e.fleet import FINISHED, Fleet
from tests.e2e.sample import sampled
from tests.lab.errors import CommandFailedError

BARE = ("host-1000", "host-1500")

STRATEGIES = {"host-root": "chown", "host-1000": "native", "host-1500": "native"}
"""Strategies other than squash, which `auto` picks because the role manages the server."""


def test_an_unprovisioned_root_host_shows_the_incident(incident_fleet: Fleet) -> None:
    """The stand-in fails like the real one: no answer, and an exit code in the log without a reason."""
    fleet = incident_fleet
    with pytest.raises(CommandFailedError, match="container exited with code 1"):
        fleet.send_message("host-root", "is anybody there?", timeout=30)
    assert incident.has_symptom(fleet)
    assert incident.CAUSE in incident.cause(fleet)


def test_one_run_ends_the_incident(incident_fleet: Fleet, request: pytest.FixtureRequest) -> None:
    """After one run each agent answers, also in the old session of the incident.

    On bare machines a dry run changes nothing, and predicts what the run then does.
    """
    bare = [incident_fleet.lab[name] for name in BARE]
    before = digests(bare)
    predicted = incident_fleet.dry_run().predicted
    assert_unchanged(before, bare)
    changed = incident_fleet.deploy().changed
    assert {change for change in changed if change[1] in BARE} == {change for change in predicted if change[1] in BARE}
    answers = incident_fleet.send_to_all("hello after the deploy")
    assert answers == {name: "echo: hello after the deploy" for name in incident_fleet.hosts}
    request.config.stash[FINISHED] = True


@sampled(380)
def test_agents_answer_under_every_strategy_in_old_and_new_sessions(fleet: Fleet) -> None:
    """A change of strategy is one setting and one run; old and new sessions answer after it."""
    own = {name: dict(data) for name, data in fleet.data.items()}
    for name, access in STRATEGIES.items():
        fleet.data[name]["pods_access"] = access
    assert {name: fleet.host(name).strategy.name for name in STRATEGIES} == STRATEGIES
    _change_and_ask(fleet, "own")
    assert fleet.deploy().changed == set()
    fleet.data = own
    assert {fleet.host(name).strategy.name for name in STRATEGIES} == {"squash"}
    _change_and_ask(fleet, "squash")


def _change_and_ask(fleet: Fleet, strategies: str) -> None:
    assert fleet.deploy().changed
    assert set(fleet.send_to_all("old session").values()) == {"echo: old session"}
    assert set(fleet.send_to_all("new session", session=f"new-under-{strategies}").values()) == {"echo: new session"}
