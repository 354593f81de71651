"""A host upgrades NanoClaw and downgrades it. Versions that cannot run there are refused, or fail in each run."""

from __future__ import annotations

import json

from tests.e2e.fleet import Fleet, Run
from tests.e2e.sample import sampled

NAME, OLD_REF, NEW_REF = "host-1500", "v2.0.64", "v2.1.17"
CIRCUIT_BREAKER_TITLE = "NanoClaw stopped: this version was not reached through a supported update"
UNMARKED = """
set -e
export HOME=$(mktemp -d)  # for safe.directory: the repository is the git server's own
git config --global safe.directory '*'
rm -rf /tmp/unmarked && git clone --quiet --branch v2.1.17 {repository} /tmp/unmarked 2>/dev/null
cd /tmp/unmarked && git rm --quiet -r scripts/upgrade-state.ts
git -c user.name=a -c user.email=a@lab.invalid commit --quiet --message unmarked
git tag --force unmarked && git push --quiet --force {repository} unmarked
"""


def move_to(fleet: Fleet, ref: str, **data: str) -> Run:
    """Bring the host to a ref as the dry run predicts; a second run changes nothing."""
    fleet.data[NAME] |= {"nanoclaw_ref": ref, **data}
    only = ("--limit", "server", "--limit", NAME)
    dry = fleet.dry_run(*only)
    run = fleet.deploy(*only)
    assert run.changed == dry.predicted
    assert fleet.deploy(*only).changed == set()
    return dry


def failed_log(fleet: Fleet, ref: str) -> str:
    """Run a ref that must fail on the host, and return the log."""
    fleet.data[NAME]["nanoclaw_ref"] = ref
    run = fleet.run("-y", "--limit", "server", "--limit", NAME)
    assert run.exit != 0 and run.failed == {NAME}, run.log
    return run.log


def refused_log(fleet: Fleet, ref: str) -> str:
    """Run a ref that must be refused before anything changes, and return the log."""
    fleet.data[NAME]["nanoclaw_ref"] = ref
    run = fleet.run("-y", "--limit", "server", "--limit", NAME)
    assert run.exit != 0 and "nothing was changed, because:" in run.log, run.log
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
    for log in (dry.log, refused_log(fleet, "v2.4.0")):
        assert "starts only with a credential gateway" in log and "needs Node >=22" in log
    assert (
        "git -C" not in log
        and lab.succeed(f"git -c safe.directory={root} -C {root} describe --tags").strip() == OLD_REF
    )
    assert lab.succeed(f"systemctl show --property=InvocationID {unit}") == serving


@sampled(800)
def test_host_upgrades_and_downgrades(fleet: Fleet) -> None:
    root, lab = fleet.host(NAME).root, fleet.lab[NAME]
    assert fleet.send_message(NAME, "before", session="kept") == "echo: before"

    dry = move_to(fleet, NEW_REF)
    assert "data/v2.db is copied before" in dry.log and "the marker of the upgrade to 2.1.17 is set" in dry.log
    assert (marker(fleet)["version"], marker(fleet)["via"]) == ("2.1.17", "nanoclaw-pods")
    for session in ("kept", "of the later version"):
        assert fleet.send_message(NAME, "hello", session=session) == "echo: hello"

    # NanoClaw's circuit breaker keeps this version from serving, so the one before comes back.
    fleet.lab["server"].succeed(UNMARKED.format(repository=repository(fleet)))
    for _ in range(2):
        lab.succeed(f"rm {root}/data/upgrade-state.json")
        assert CIRCUIT_BREAKER_TITLE in failed_log(fleet, "unmarked")
        assert fleet.send_message(NAME, "rolled back", session="kept") == "echo: rolled back"

    assert "was migrated by a later version than v2.0.64" in refused_log(fleet, OLD_REF)
    dry = move_to(fleet, OLD_REF, nanoclaw_newer_database="restore")
    assert "data/v2.db goes back to its copy of 2.0.64" in dry.log
    for session in ("kept", "of the lower version"):
        assert fleet.send_message(NAME, "again", session=session) == "echo: again"


def repository(fleet: Fleet) -> str:
    """Where the stand-in's repository lies on the server."""
    return fleet.lab["server"].succeed("find / -xdev -name nanoclaw.git -type d 2>/dev/null | head -n 1").strip()
