"""Scenarios of a change of version: what serves, pairs of versions, waves, and interruptions of each step."""

from __future__ import annotations

import json

from tasks.model.host.version_change import directory, service
from tests.e2e.fleet import Fleet
from tests.e2e.interruptions import KINDS, Interruption, Paths, interrupt, journal
from tests.lab.shell import say

VERSION = Paths(directory, service)
STEPS = (
    "check-space",
    "stage-source",
    "stage-build",
    "stage-image",
    "set-boot-rollback",
    "drain",
    "switch-source",
    "switch-image",
    "upgrade-marker",
    "start-v2",
    "gate",
    "commit",
    "remove-stage",
)
"""The ids of the steps to interrupt, in order."""


def version_of(fleet: Fleet, name: str) -> str:
    """Return the version that package.json of a host names."""
    document = json.loads(fleet.lab[name].succeed(f"cat {fleet.host(name).root}/package.json"))
    return str(document["version"])


def assert_serves(fleet: Fleet, name: str, text: str, *, version: str) -> None:
    """Check that a host answers, in a version, in a session that was there before."""
    assert fleet.send_message(name, text, session="kept") == f"echo: {text}"
    assert version_of(fleet, name) == version


def fail_gate(fleet: Fleet, name: str, ref: str, *, version: str) -> None:
    """Fail the gate of a change of version: the old version serves again, with all that it had."""
    before = dict(fleet.data[name])
    fleet.data[name] |= {"nanoclaw_ref": ref, "nanoclaw_gate": ["false"]}
    run = fleet.run("-y", "--limit", "server", "--limit", name)
    assert run.exit != 0 and "no answer (status 1) from false" in run.log, run.log
    assert "Rolled back: NanoClaw" in run.log
    assert journal(fleet, name, VERSION)["state"] == "rolled back"
    assert_serves(fleet, name, "after the gate", version=version)
    fleet.data[name] = before


def interrupt_and_check(fleet: Fleet, name: str, interruption: Interruption, versions: tuple[str, str]) -> bool:
    """Interrupt a change of version, check that one version serves, and return whether it is the new one."""
    assert interrupt(fleet, name, interruption, VERSION), f"the run ended before {interruption}"
    new = version_of(fleet, name) == versions[1]
    assert_serves(fleet, name, f"after {interruption}", version=versions[new])
    return new


TAGS = ("v2.0.63", "v2.0.64", "v2.1.17", "v2.1.54", "v2.3.0", "v2.4.0", "v2026.10.0")
"""Versions of the stand-in, in order."""
PAIRS = tuple((old, new) for number, old in enumerate(TAGS) for new in TAGS[number + 1 :])

ONECLI = """
from http.server import BaseHTTPRequestHandler, HTTPServer
class OneCli(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/v1/health" else 404)
        self.end_headers()
HTTPServer(("", 10254), OneCli).serve_forever()
"""


def prepare_for_later_versions(fleet: Fleet, name: str) -> None:
    """Give a host a Node and a gateway's server with which every version runs."""
    host, server = fleet.lab[name], fleet.lab["server"]
    host.succeed("for program in node npm npx; do ln -sf /opt/node/bin/$program /usr/local/bin/$program; done")
    server.succeed(f"cat >/root/onecli.py <<'END'\n{ONECLI}\nEND")
    unit = "systemctl is-active -q onecli || systemd-run --unit=onecli python3 /root/onecli.py"
    server.succeed(unit)
    fleet.data[name] |= {
        "nanoclaw_node": "machine",
        "nanoclaw_node_versions": (20, 24),
        "nanoclaw_gateway": "onecli",
        "nanoclaw_gateway_server": f"http://{server.address}:10254",
    }


def install(fleet: Fleet, name: str, ref: str) -> None:
    """Install a version on a host without one."""
    fleet.lab.reset(name)
    fleet.lab["server"].run(f"find /srv/pods/{name} -mindepth 1 -delete", check=False, timeout=300)
    prepare_for_later_versions(fleet, name)
    fleet.data[name]["nanoclaw_ref"] = ref
    fleet.deploy("--limit", "server", "--limit", name)


def change(fleet: Fleet, name: str, old: str, new: str) -> None:
    """Install a version, change to a later one, and check that a conversation continues."""
    install(fleet, name, old)
    assert_serves(fleet, name, "before", version=old.removeprefix("v"))
    fleet.data[name]["nanoclaw_ref"] = new
    fleet.deploy("--limit", "server", "--limit", name)
    assert_serves(fleet, name, "after", version=new.removeprefix("v"))
    assert fleet.deploy("--limit", "server", "--limit", name).changed == set()


def process_of(fleet: Fleet, name: str) -> str:
    """Return the process id of a host's service."""
    unit = fleet.host(name).unit
    return fleet.lab[name].succeed(f"systemctl show --property=MainPID --value {unit}").strip()


def assert_waves_stop_at_first_failure(fleet: Fleet, old: str, new: str) -> None:
    """Check that a failed gate ends the waves, and that the same command continues once it is corrected.

    One canary goes first, then two hosts at once. The third host fails its gate and is rolled back; the hosts after it
    are staged, and their services are not touched.
    """
    first, second, third, *others = fleet.hosts
    versions = (old.removeprefix("v"), new.removeprefix("v"))
    for name in fleet.hosts:
        assert_serves(fleet, name, "before", version=versions[0])
        fleet.data[name] |= {"nanoclaw_ref": new, "nanoclaw_batch": 2}
    fleet.data[first]["nanoclaw_canary"] = True
    fleet.data[third]["nanoclaw_gate"] = ["false"]
    processes = {name: process_of(fleet, name) for name in others}
    run = fleet.run("-y", timeout=3600)
    del fleet.data[third]["nanoclaw_gate"]
    assert run.failed == {third, *others}, run.log
    assert "Rolled back: NanoClaw" in run.log and f"{third} of an earlier wave failed" in run.log
    for name in fleet.hosts:
        assert_serves(fleet, name, "after the failure", version=versions[name in (first, second)])
    assert journal(fleet, third, VERSION)["state"] == "rolled back"
    assert {journal(fleet, name, VERSION)["state"] for name in others} == {"staged"}
    assert {name: process_of(fleet, name) for name in others} == processes
    fleet.deploy(timeout=3600)
    for name in fleet.hosts:
        assert_serves(fleet, name, "after all", version=versions[1])
    assert fleet.deploy().changed == set()


def go_back(fleet: Fleet, name: str, old: str) -> None:
    """Return to an earlier version, with its database."""
    before = dict(fleet.data[name])
    fleet.data[name] |= {"nanoclaw_ref": old, "nanoclaw_newer_database": "restore"}
    fleet.deploy("--limit", "server", "--limit", name)
    fleet.data[name] = before


def interrupt_in_each_way(fleet: Fleet, name: str, step: str, old: str, new: str) -> None:
    """Interrupt a change of version in one step in each way; the next run ends in the new version."""
    versions = (old.removeprefix("v"), new.removeprefix("v"))
    for kind in KINDS:
        if version_of(fleet, name) == versions[1]:
            go_back(fleet, name, old)
        fleet.data[name]["nanoclaw_ref"] = new
        is_new = interrupt_and_check(fleet, name, Interruption(kind, step), versions)
        say(f"{name}: {kind} in {step!r}: {versions[is_new]} serves")
    fleet.deploy("--limit", "server", "--limit", name)
    assert_serves(fleet, name, f"after {step}", version=versions[1])
