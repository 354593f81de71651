"""A host moves to a later version of NanoClaw and back; one that cannot run there is refused, or fails each time."""

from __future__ import annotations

import json

from tests.e2e.fleet import Fleet, Run
from tests.e2e.sample import sampled

NAME, OLD, NEW = "host-1500", "v2.0.64", "v2.1.17"
TITLE = "NanoClaw stopped: this version was not reached through a supported update"
UNMARKED = """
set -e
export HOME=$(mktemp -d)  # for safe.directory: the repository is the git server's own
git config --global safe.directory '*'
rm -rf /tmp/unmarked && git clone --quiet --branch v2.1.17 {repository} /tmp/unmarked 2>/dev/null
cd /tmp/unmarked && git rm --quiet -r scripts/upgrade-state.ts
git -c user.name=a -c user.email=a@lab.invalid commit --quiet --message unmarked
git tag --force unmarked && git push --quiet --force {repository} unmarked
"""


def move(fleet: Fleet, ref: str, **data: str) -> Run:
    """Bring the host to a ref as the dry run predicts; a second run changes nothing."""
    fleet.data[NAME] |= {"nanoclaw_ref": ref, **data}
    only = ("--limit", "server", "--limit", NAME)
    dry = fleet.dry(*only)
    run = fleet.deploy(*only)
    assert run.changed == dry.predicted
    assert fleet.deploy(*only).changed == set()
    return dry


def fails(fleet: Fleet, ref: str) -> str:
    """Return the log of a run that fails on the host."""
    fleet.data[NAME]["nanoclaw_ref"] = ref
    run = fleet.run("-y", "--limit", "server", "--limit", NAME)
    assert run.exit != 0 and run.failed == {NAME}, run.log
    return run.log


def marker(fleet: Fleet) -> dict[str, str]:
    text = fleet.lab[NAME].succeed(f"cat {fleet.host(NAME).root}/data/upgrade-state.json")
    document: dict[str, str] = json.loads(text)
    return document


@sampled(150)
def test_unsupported_version_is_refused_while_the_service_runs(fleet: Fleet) -> None:
    root, lab, unit = fleet.host(NAME).root, fleet.lab[NAME], fleet.host(NAME).unit
    serving = lab.succeed(f"systemctl show --property=InvocationID {unit}")
    fleet.data[NAME]["nanoclaw_ref"] = "v2.4.0"
    dry = fleet.run("--dry", "--limit", "server", "--limit", NAME)
    for log in (dry.log, fails(fleet, "v2.4.0")):
        assert "starts only with a credential gateway" in log and "needs Node >=22" in log
    assert "git -C" not in log and lab.succeed(f"git -c safe.directory={root} -C {root} describe --tags").strip() == OLD
    assert lab.succeed(f"systemctl show --property=InvocationID {unit}") == serving


@sampled(800)
def test_host_upgrades_and_downgrades(fleet: Fleet) -> None:
    root, lab = fleet.host(NAME).root, fleet.lab[NAME]
    assert fleet.ask(NAME, "before", session="kept") == "echo: before"

    dry = move(fleet, NEW)
    assert "data/v2.db is copied before" in dry.log and "the marker of the upgrade to 2.1.17 is set" in dry.log
    assert (marker(fleet)["version"], marker(fleet)["via"]) == ("2.1.17", "nanoclaw-pods")
    for session in ("kept", "of the later version"):
        assert fleet.ask(NAME, "hello", session=session) == "echo: hello"

    # A version that waits in its own circuit breaker is never up.
    fleet.lab["server"].succeed(UNMARKED.format(repository=repository(fleet)))
    lab.succeed(f"rm {root}/data/upgrade-state.json")
    for _ in range(2):
        assert TITLE in fails(fleet, "unmarked")

    assert "was migrated by a later version than v2.0.64" in fails(fleet, OLD)
    dry = move(fleet, OLD, nanoclaw_newer_database="restore")
    assert "data/v2.db goes back to its copy of 2.0.64" in dry.log
    for session in ("kept", "of the lower version"):
        assert fleet.ask(NAME, "again", session=session) == "echo: again"


def repository(fleet: Fleet) -> str:
    """Where the stand-in's repository lies on the server."""
    return fleet.lab["server"].succeed("find / -xdev -name nanoclaw.git -type d 2>/dev/null | head -n 1").strip()
