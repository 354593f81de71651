"""Changing strategy on a living host: each change is one changed setting, or two that need each other, and one run.

A host is asked before, during and after: what it was asked is answered, by whichever host process was there; afterwards
everything belongs to whom it is to, and another run changes nothing.
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

LATE = 300
"""Seconds within which a message that was sent during a change is answered."""


@dataclass(frozen=True)
class Strategy:
    """How sessions come to belong to the agent, and whom the host process runs as."""

    access: str
    user: str

    def __str__(self) -> str:
        return f"{self.access} as {self.user}"


SQUASH, SQUASH_ROOT = Strategy("squash", "nanoclaw"), Strategy("squash", "root")
NATIVE, CHOWN = Strategy("native", "nanoclaw"), Strategy("chown", "root")

LAP = (
    *(SQUASH, SQUASH_ROOT, SQUASH, CHOWN, SQUASH, NATIVE, SQUASH_ROOT),
    *(CHOWN, SQUASH_ROOT, NATIVE, CHOWN, NATIVE, SQUASH),
)
"""A way round all strategies that has each change from one to another once."""


def lap(start: Strategy) -> tuple[Strategy, ...]:
    """What a host that has one strategy is changed to, one after the other: it ends where it began."""
    begin = LAP.index(start)
    return (*LAP[begin + 1 :], *LAP[1 : begin + 1])


def settle(fleet: Fleet, name: str, strategy: Strategy) -> None:
    """Bring a host to a strategy, from any other; do not check how."""
    _say(fleet, name, strategy)
    fleet.deploy("--limit", "server", "--limit", name)


def change(fleet: Fleet, name: str, to: Strategy) -> None:
    """One change of a host that has a strategy, with all that is to hold before, during and after."""
    stamp = str(time.time_ns())
    before, after = f"before {stamp}", f"after {stamp}"
    assert fleet.ask(name, before, session="kept") == f"echo: {before}"
    _as_host_user(fleet, name, f"mkdir -p {_LISTS} && echo '{_NOTHING_ALLOWED}' > {_LISTS}/mount-allowlist.json")
    _say(fleet, name, to)
    talk, failures = Talk(fleet, name, stamp), _failures(fleet, name)
    dry = fleet.dry("--limit", "server", "--limit", name)
    with talk.going_on():
        run = fleet.deploy("--limit", "server", "--limit", name, timeout=1800)
    talk.ends_well()
    assert run.changed == dry.predicted
    more = list((_failures(fleet, name) - failures).elements())
    assert not more, f"agents or the host process failed: {more}"
    for session in ("kept", f"after-{stamp}"):
        assert fleet.ask(name, after, session=session) == f"echo: {after}"
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
    """The lines of NanoClaw's logs about agents that failed and databases that could not be written, with causes."""
    pattern = "readonly database|Fatal error|Container exited .*code=[1-9]"
    listing = f"grep -hE '{pattern}' {fleet.host(name).root}/logs/nanoclaw*.log || test $? = 1"
    return Counter(fleet.lab[name].succeed(listing).splitlines())


def _say(fleet: Fleet, name: str, strategy: Strategy) -> None:
    fleet.data[name] |= {"pods_access": strategy.access, "nanoclaw_user": strategy.user}
    fleet.data[name]["nanoclaw_environment"] |= {"LOG_LEVEL": "debug"}  # NanoClaw logs an agent's errors at debug


class Talk:
    """Messages to a host while something happens to it: one after the other, each in a new session."""

    def __init__(self, fleet: Fleet, name: str, stamp: str) -> None:
        self.fleet, self.name, self.stamp = fleet, name, stamp
        self.sent: list[str] = []
        self.refused: list[str] = []
        self._over = Event()

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Talks during the body, and waits for the last answer."""
        thread = Thread(target=self._talk)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _talk(self) -> None:
        while not self._over.is_set():
            self._send(f"during {self.stamp} {len(self.sent)}")

    def _send(self, text: str) -> None:
        if text not in self.sent:
            self.sent.append(text)
        try:
            self.fleet.ask(self.name, text, session=text.replace(" ", "-"), timeout=LATE)
        except CommandFailedError as error:  # the host ended meanwhile, and its databases tell what became of it
            if "refused: " in error.stderr:
                self.refused.append(f"{text}: {error.stderr}")

    def ends_well(self) -> None:
        """Every message is answered in the end. One that no host had taken is sent again, as a channel does."""
        assert self.sent, "the run was over before anything was said"
        assert not self.refused, self.refused
        for text in set(self.sent) - set(self.taken()):
            self._send(text)
        end = time.monotonic() + LATE
        while missing := [text for text in self.sent if not self.taken().get(text)]:
            assert time.monotonic() < end, f"no answer to {missing}"
            time.sleep(2)
        assert not self.refused, self.refused

    def taken(self) -> dict[str, bool]:
        """The messages that a host has taken, and whether they have an answer in the databases of their sessions."""
        look = shlex.join(["python3", "-c", _TAKEN, self.fleet.host(self.name).sessions, f"during {self.stamp} "])
        answered: dict[str, bool] = json.loads(self.fleet.lab[self.name].succeed(look))
        return answered


_TAKEN = """
import glob, json, os, sqlite3, sys
found = {}
for path in glob.glob(sys.argv[1] + "/*/*/inbound.db"):
    if not os.path.exists(path.replace("inbound.db", "outbound.db")):
        continue
    database = sqlite3.connect("file:%s?mode=ro" % path, uri=True, timeout=20)
    database.execute("ATTACH ? AS o", ("file:%s?mode=ro" % path.replace("inbound.db", "outbound.db"),))
    answered = "EXISTS (SELECT 1 FROM o.messages_out WHERE in_reply_to = m.id)"
    for content, done in database.execute("SELECT content, %s FROM messages_in AS m" % answered):
        text = json.loads(content).get("text", "")
        if text.startswith(sys.argv[2]):
            found[text] = bool(done)
print(json.dumps(found))
"""


def assert_owners(fleet: Fleet, name: str) -> None:
    """The trees are the agent's on the server's disk; all else of the project root is the host process's."""
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
    # The guard has a moment for what dockerd makes in a session.
    wrong = f"find {sessions} {groups} ! -uid {agent.uid} -o ! -gid {agent.gid}"
    server.wait_until_succeeds(f'found="$({wrong})"; echo "$found"; test -z "$found"', timeout=20)
    rest = f"-path {root}/data/v2-sessions -prune -o -path {root}/groups -prune"
    others = f"find {root} -xdev {rest} -o ! -uid {owner.uid} -print -o ! -gid {owner.gid} -print"
    assert machine.succeed(others, timeout=300) == ""
    assert host.succeed(f"stat -c %a {plan.root}/.env 2>/dev/null || echo none").strip() in ("600", "none")
    process = f"ps -o uid= -p $(systemctl show --property=MainPID --value {plan.unit})"
    assert int(host.succeed(process)) == plan.host_ids.uid


def assert_guard(fleet: Fleet, name: str) -> None:
    """The guard is at work where the strategy is chown; elsewhere nothing of one is left."""
    plan, host = fleet.host(name), fleet.lab[name]
    units = host.succeed(f"find /etc/systemd/system -maxdepth 1 -name '{UNIT_PREFIX}*' -printf '%f\\n'").split()
    active = host.run(f"systemctl is-active {guard_unit(plan)}", check=False).stdout.strip()
    program = host.succeed(f"test ! -e {PROGRAMS} || find {PROGRAMS} -name 'guard*'").split()
    if plan.strategy.name == "chown":
        assert (active, units, program) == ("active", [guard_unit(plan)], [program_file(bundle("guard.main"))])
    else:
        assert (active, units, program) == ("inactive", [], [])
