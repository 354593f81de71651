"""Scenarios of a change of version: what serves, messages under load, and interruptions of each step."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, pairwise

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

SENDER = r"""
import json, socket, sys, time
path, session, log = sys.argv[1:]
number = 0
while True:
    begun = time.time()
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(path)
            message = {"folder": "main", "session": session, "text": f"load {number}"}
            client.sendall(json.dumps(message).encode() + b"\n")
            accepted = b'"accepted"' in client.makefile("rb").readline()
    except OSError:
        accepted = False
    with open(log, "a") as file:
        file.write(json.dumps({"number": number, "accepted": accepted, "at": begun}) + "\n")
    number += accepted
    time.sleep(max(0.1, 1 - (time.time() - begun)))
"""
"""A channel that sends a message each second, and again what the host did not take, as Telegram's server does."""

ANSWERS = r"""
import json, sqlite3, sys
from pathlib import Path
root, session = sys.argv[1:]
with sqlite3.connect(f"file:{root}/data/v2.db?mode=ro", uri=True) as central:
    ((group, name),) = central.execute("SELECT agent_group_id, id FROM sessions WHERE thread_id = ?", (session,))
folder = Path(root, "data/v2-sessions", group, name)
def rows(file, query):
    with sqlite3.connect(f"file:{folder / file}?mode=ro", uri=True) as database:
        return database.execute(query).fetchall()
texts = {one: json.loads(content)["text"] for one, content in
         rows("inbound.db", "SELECT id, content FROM messages_in WHERE kind = 'chat' ORDER BY seq")}
answers = rows("outbound.db", "SELECT in_reply_to FROM messages_out ORDER BY seq")
print(json.dumps({"sent": list(texts.values()), "answered": [texts.get(one) for (one,) in answers]}))
"""


@dataclass
class Load:
    """Messages that a host was sent, one a second."""

    fleet: Fleet
    name: str
    session: str

    @property
    def log(self) -> list[dict[str, float]]:
        """The attempts to send, in order."""
        lines = self.fleet.lab[self.name].succeed(f"cat /root/{self.session}.log").splitlines()
        return [json.loads(line) for line in lines]

    def seconds_without_service(self) -> float:
        """Return the longest time between two messages that the host took."""
        times = [attempt["at"] for attempt in self.log if attempt["accepted"]]
        return max(after - before for before, after in pairwise(times))

    def assert_each_answered_once_in_order(self) -> None:
        """Check the session's databases: each message that was taken is there once, and has one answer, in order."""
        sent = [f"load {int(attempt['number'])}" for attempt in self.log if attempt["accepted"]]
        root, end = self.fleet.host(self.name).root, time.monotonic() + 240
        command = f"python3 - {shlex.quote(root)} {self.session} <<'END'\n{ANSWERS}\nEND"
        while True:
            now = json.loads(self.fleet.lab[self.name].succeed(command))
            if len(now["answered"]) >= len(now["sent"]) or time.monotonic() > end:
                break
            time.sleep(2)
        assert len(sent) > 10
        assert [text for text, _same in groupby(now["sent"])] == sent, "messages are missing, or in another order"
        # A host that stops may have taken a message and not have said so: then it is sent again.
        assert len(now["sent"]) - len(sent) <= len([attempt for attempt in self.log if not attempt["accepted"]])
        assert now["answered"] == now["sent"], "a message has no answer, or more than one"


@contextmanager
def load(fleet: Fleet, name: str, session: str) -> Iterator[Load]:
    """Send a host a message each second for as long as the body runs."""
    machine, unit = fleet.lab[name], f"load-{session}"
    sender = f"cat >/root/sender.py <<'END'\n{SENDER}\nEND\nrm -f /root/{session}.log"
    machine.succeed(sender)
    socket = f"{fleet.host(name).root}/data/cli.sock"
    machine.succeed(f"systemd-run --unit={unit} python3 /root/sender.py {socket} {session} /root/{session}.log")
    try:
        yield Load(fleet, name, session)
        time.sleep(10)
    finally:
        machine.succeed(f"systemctl stop {unit}")


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
