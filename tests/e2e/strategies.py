"""Changes of strategy on a running host: each is one changed setting, or two that need each other, and one run.

Messages are sent before, during and after a change, and each gets an answer. Afterwards every entry has the right
owner, and another run changes nothing.
"""

from __future__ import annotations

import json
import shlex
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread

from tasks.bundle import bundle
from tasks.model.ownership.guard import PROGRAMS, UNIT_PREFIX, guard_unit, program_file
from tests.e2e.fleet import Fleet
from tests.lab.errors import CommandFailedError

ANSWER_SECONDS = 300
"""Seconds until a message that was sent during a change must have its answer."""


@dataclass(frozen=True)
class Strategy:
    """How sessions come to belong to the agent (pods_access), and the user of the host process."""

    access: str
    user: str

    def __str__(self) -> str:
        return f"{self.access} as {self.user}"


SQUASH, SQUASH_ROOT = Strategy("squash", "nanoclaw"), Strategy("squash", "root")
NATIVE, CHOWN = Strategy("native", "nanoclaw"), Strategy("chown", "root")

STRATEGY_CYCLE = (
    *(SQUASH, SQUASH_ROOT, SQUASH, CHOWN, SQUASH, NATIVE, SQUASH_ROOT),
    *(CHOWN, SQUASH_ROOT, NATIVE, CHOWN, NATIVE, SQUASH),
)
"""A cycle through the strategies that has each change from one to another exactly once."""


def changes_from(start: Strategy) -> tuple[Strategy, ...]:
    """Return the strategies to change a host to, one after the other; the last one is `start` again."""
    begin = STRATEGY_CYCLE.index(start)
    return (*STRATEGY_CYCLE[begin + 1 :], *STRATEGY_CYCLE[1 : begin + 1])


def apply_strategy(fleet: Fleet, name: str, strategy: Strategy) -> None:
    """Deploy a strategy on a host, without checks."""
    _set_strategy(fleet, name, strategy)
    fleet.deploy("--limit", "server", "--limit", name)


def change_strategy(fleet: Fleet, name: str, to: Strategy) -> None:
    """Change a host's strategy, and check messages, owners, guard and a second run."""
    stamp = str(time.time_ns())
    before, after = f"before {stamp}", f"after {stamp}"
    assert fleet.send_message(name, before, session="kept") == f"echo: {before}"
    _as_host_user(fleet, name, f"mkdir -p {_LISTS} && echo '{_NOTHING_ALLOWED}' > {_LISTS}/mount-allowlist.json")
    _set_strategy(fleet, name, to)
    messages, failures = Messages(fleet, name, stamp), _failures(fleet, name)
    dry = fleet.dry_run("--limit", "server", "--limit", name)
    with messages.keep_sending():
        run = fleet.deploy("--limit", "server", "--limit", name, timeout=1800)
    messages.assert_all_answered()
    assert run.changed == dry.predicted
    more = list((_failures(fleet, name) - failures).elements())
    assert not more, f"agents or the host process failed: {more}"
    for session in ("kept", f"after-{stamp}"):
        assert fleet.send_message(name, after, session=session) == f"echo: {after}"
    assert_owners(fleet, name)
    assert_guard(fleet, name)
    assert _as_host_user(fleet, name, f"cat {_LISTS}/mount-allowlist.json").strip() == _NOTHING_ALLOWED
    assert fleet.deploy("--limit", "server", "--limit", name).changed == set()


_LISTS = "~/.config/nanoclaw"
_NOTHING_ALLOWED = '{"allowedRoots": [], "blockedPatterns": []}'


def _as_host_user(fleet: Fleet, name: str, command: str) -> str:
    user = fleet.host(name).settings.nanoclaw_user
    return fleet.lab[name].succeed(f"runuser --login {user} --command {shlex.quote(command)}")


def _failures(fleet: Fleet, name: str) -> Counter[str]:
    """Count the lines of NanoClaw's logs about failed agents and databases that could not be written."""
    pattern = "readonly database|Fatal error|Container exited .*code=[1-9]"
    listing = f"grep -hE '{pattern}' {fleet.host(name).root}/logs/nanoclaw*.log || test $? = 1"
    return Counter(fleet.lab[name].succeed(listing).splitlines())


def _set_strategy(fleet: Fleet, name: str, strategy: Strategy) -> None:
    fleet.data[name] |= {"pods_access": strategy.access, "nanoclaw_user": strategy.user}
    fleet.data[name]["nanoclaw_environment"] |= {"LOG_LEVEL": "debug"}  # NanoClaw logs an agent's errors at debug


class Messages:
    """Messages that are sent to a host during a change: one after the other, each in a new session."""

    def __init__(self, fleet: Fleet, name: str, stamp: str) -> None:
        self.fleet, self.name, self.stamp = fleet, name, stamp
        self.sent: list[str] = []
        self.refused: list[str] = []
        self._stop = Event()

    @contextmanager
    def keep_sending(self) -> Iterator[None]:
        """Send messages during the body, and wait for the last answer."""
        thread = Thread(target=self._send_until_stopped)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _send_until_stopped(self) -> None:
        while not self._stop.is_set():
            self._send(f"during {self.stamp} {len(self.sent)}")

    def _send(self, text: str) -> None:
        if text not in self.sent:
            self.sent.append(text)
        try:
            self.fleet.send_message(self.name, text, session=text.replace(" ", "-"), timeout=ANSWER_SECONDS)
        except (
            CommandFailedError
        ) as error:  # the host process stopped; its databases show whether it accepted the message
            if "refused: " in error.stderr:
                self.refused.append(f"{text}: {error.stderr}")

    def assert_all_answered(self) -> None:
        """Check that every message gets an answer. One that no process accepted is sent again, as a channel does."""
        assert self.sent, "the run ended before a message was sent"
        assert not self.refused, self.refused
        for text in set(self.sent) - set(self.accepted()):
            self._send(text)
        end = time.monotonic() + ANSWER_SECONDS
        while missing := [text for text in self.sent if not self.accepted().get(text)]:
            assert time.monotonic() < end, f"no answer to {missing}"
            time.sleep(2)
        assert not self.refused, self.refused

    def accepted(self) -> dict[str, bool]:
        """Return the messages that a host accepted, and whether the session databases have an answer to each."""
        list_accepted = shlex.join(
            ["python3", "-c", _ACCEPTED, self.fleet.host(self.name).sessions, f"during {self.stamp} "]
        )
        answered: dict[str, bool] = json.loads(self.fleet.lab[self.name].succeed(list_accepted))
        return answered


_ACCEPTED = """
import glob, json, os, sqlite3, sys
accepted = {}
for path in glob.glob(sys.argv[1] + "/*/*/inbound.db"):
    if not os.path.exists(path.replace("inbound.db", "outbound.db")):
        continue
    database = sqlite3.connect("file:%s?mode=ro" % path, uri=True, timeout=20)
    database.execute("ATTACH ? AS o", ("file:%s?mode=ro" % path.replace("inbound.db", "outbound.db"),))
    answered = "EXISTS (SELECT 1 FROM o.messages_out WHERE in_reply_to = m.id)"
    for content, done in database.execute("SELECT content, %s FROM messages_in AS m" % answered):
        text = json.loads(content).get("text", "")
        if text.startswith(sys.argv[2]):
            accepted[text] = bool(done)
print(json.dumps(accepted))
"""


def assert_owners(fleet: Fleet, name: str) -> None:
    """Check that the agent owns the trees on the server's disk, and the host process all else of the project root."""
    plan = fleet.host(name)
    assert plan.source is not None and plan.squash is not None
    server, host, export = fleet.lab["server"], fleet.lab[name], plan.source.path
    if plan.root_on_pods:
        root = export + plan.root.removeprefix(plan.settings.pods_path)
        sessions, groups = f"{root}/data/v2-sessions", f"{root}/groups"
        owner, machine = plan.squash.map_ids(plan.host_ids), server
    else:
        root, sessions, groups = plan.root, f"{export}/v2-sessions", f"{export}/groups"
        owner, machine = plan.host_ids, host
    agent = plan.stored_agent
    # The guard needs a moment for what dockerd creates in a session.
    wrong = f"find {sessions} {groups} ! -uid {agent.uid} -o ! -gid {agent.gid}"
    server.wait_until_succeeds(f'wrong="$({wrong})"; echo "$wrong"; test -z "$wrong"', timeout=20)
    rest = f"-path {root}/data/v2-sessions -prune -o -path {root}/groups -prune"
    others = f"find {root} -xdev {rest} -o ! -uid {owner.uid} -print -o ! -gid {owner.gid} -print"
    assert machine.succeed(others, timeout=300) == ""
    assert host.succeed(f"stat -c %a {plan.root}/.env 2>/dev/null || echo none").strip() in ("600", "none")
    process = f"ps -o uid= -p $(systemctl show --property=MainPID --value {plan.unit})"
    assert int(host.succeed(process)) == plan.host_ids.uid


def assert_guard(fleet: Fleet, name: str) -> None:
    """Check that the guard runs with the strategy chown, and that no other strategy leaves its unit or program."""
    plan, host = fleet.host(name), fleet.lab[name]
    units = host.succeed(f"find /etc/systemd/system -maxdepth 1 -name '{UNIT_PREFIX}*' -printf '%f\\n'").split()
    active = host.run(f"systemctl is-active {guard_unit(plan)}", check=False).stdout.strip()
    program = host.succeed(f"test ! -e {PROGRAMS} || find {PROGRAMS} -name 'guard*'").split()
    if plan.strategy.name == "chown":
        assert (active, units, program) == ("active", [guard_unit(plan)], [program_file(bundle("guard.main"))])
    else:
        assert (active, units, program) == ("inactive", [], [])
