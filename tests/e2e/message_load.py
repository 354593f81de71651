"""Messages that a host is sent while its version changes, and whether each was answered once and in order."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, pairwise

from tests.e2e.fleet import Fleet

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
