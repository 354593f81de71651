"""The probe, run for real on a local file system: what it observes, and that it leaves nothing.

A fake `docker` binds what a container would bind, and runs the container's script as the agent.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from pydantic import TypeAdapter

from files.pods.probe.protocol import Container, Observations, ProbeRequest
from tests.programs import request_argv

A = 1000

FAKE_DOCKER = r"""#!/bin/bash
[ -n "$CALLS" ] && echo "$@" | head -n 1 >> "$CALLS"
case $1 in
    image) [ -z "$NO_IMAGE" ] && exit; echo "Error response from daemon: No such image: x" >&2; exit 1 ;;
    run) ;;
    *) exit 1 ;;
esac
[ -n "$BROKEN" ] && { echo "docker: permission denied" >&2; exit 126; }
binds=()
while [ $# -gt 0 ]; do
    case $1 in -v) binds+=("$2") ;; -c) script=$2 ;; esac
    shift
done
exec unshare --mount --propagation private bash -c '
    mount -t tmpfs none /mnt; id=$1; script=$2; shift 2
    mkdir -p /mnt/workspace /mnt/home/node/.claude
    for bind; do mkdir -p "/mnt${bind#*:}"; mount --bind "${bind%%:*}" "/mnt${bind#*:}"; done
    script=${script//\/workspace/\/mnt\/workspace}
    exec setpriv --reuid "$id" --regid "$id" --clear-groups bash -c "${script//\/home\/node/\/mnt\/home\/node}"
' _ "${AGENT:-1000}" "$script" "${binds[@]}"
"""


OWN_RUN = ["unshare", "--mount", "--propagation", "private", "sh", "-c", 'mount -t tmpfs none /run; exec "$@"', "_"]
"""A /run of its own, in which no other probe of this machine holds the lock."""


def can_mount() -> bool:
    argv = ["unshare", "--mount", "--propagation", "private", "mount", "-t", "tmpfs", "none", "/mnt"]
    return os.geteuid() == 0 and subprocess.run(argv, capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(not can_mount(), reason="acts as others in mounts of its own, which needs root")


@dataclass
class Machine:
    """A machine's trees, and a fake docker."""

    place: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def sessions(self) -> Path:
        return self.place / "data" / "v2-sessions"

    @property
    def groups(self) -> Path:
        return self.place / "groups"

    def argv(self, host: int = A, **changes: Any) -> list[str]:
        request = ProbeRequest(
            sessions=str(self.sessions),
            groups=str(self.groups),
            mounts=[],
            host=(host, host),
            agent=(A, A),
            user=None,
            image="x",
            wait=0,
            guard="pods-guard-none.service",
            heal=0,
            slug="test",
        )
        return [*OWN_RUN, *request_argv(replace(request, **changes))]

    def environ(self) -> dict[str, str]:
        return {**os.environ, "PATH": f"{self.place / 'bin'}:{os.environ['PATH']}", **self.environment}

    def probe(self, **more: Any) -> Observations:
        done = subprocess.run(self.argv(**more), capture_output=True, text=True, env=self.environ(), check=True)
        return TypeAdapter(Observations).validate_json(done.stdout.splitlines()[-1])

    def session(self, name: str) -> Path:
        made = self.sessions / "ag" / name
        made.mkdir(parents=True)
        for database in ("inbound.db", "outbound.db"):
            (made / database).write_bytes(b"")
        chown_to_agent(self.place)
        return made

    def scratch(self) -> list[Path]:
        return list(self.place.rglob(".nanoclaw-pods-probe-*"))


def chown_to_agent(tree: Path) -> None:
    subprocess.run(["chown", "-hR", f"{A}:{A}", tree / "data", tree / "groups"], check=True)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Its project root is closed to all others, as /root is: a container does not see that."""
    path = tmp_path / "machine"
    made = Machine(path)
    (path / "bin").mkdir(parents=True)
    (path / "bin" / "docker").write_text(FAKE_DOCKER)
    (path / "bin" / "docker").chmod(0o755)
    made.sessions.mkdir(parents=True)
    (made.groups / "main").mkdir(parents=True)
    chown_to_agent(path)
    # What pytest and its workers made for the user of the tests alone has to let the agent through.
    for parent in (tmp_path, *tmp_path.parents):
        if parent.name.startswith((tmp_path.name, "pytest-", "popen-")):
            parent.chmod(0o755)
    return made


def errors(observed: Observations) -> list[tuple[str, str, str | None]]:
    return [(step.who, step.what, step.error) for step in observed.steps if step.error]


def test_a_host_that_is_right(machine: Machine) -> None:
    machine.session("s1")
    observed = machine.probe()
    assert errors(observed) == []
    assert observed.relied == ["process", "container"]
    assert observed.container is not None and observed.container.ids == (A, A)
    assert {step.who for step in observed.steps} == {"root", "host", "dockerd", "agent", "container"}
    assert observed.survey is not None
    assert (observed.survey.sessions, observed.survey.groups, observed.survey.refused) == (1, 1, 0)
    assert (machine.scratch(), observed.left) == ([], [])


READ = ["read inbound.db", "read its context"]
WROTE = ["write in the group directory", "write in its home"]
STEPS = [
    ("root", ["look at the file system"]),
    ("host", ["make a session"]),
    ("dockerd", ["make the mount point of the group directory in the session"]),
    ("agent", ["write outbound.db with SQLite", "touch .heartbeat", "make outbox/message", *READ, *WROTE]),
    ("root", ["find the session where it was made"]),
    ("container", ["open outbound.db for writing", "create and remove outbound.db-journal"]),
    ("container", ["write outbound.db with SQLite"] if shutil.which("sqlite3") else []),
    ("container", ["touch .heartbeat", "make outbox/message", *READ, *WROTE]),
    ("host", ["clean up after the agent"]),
    ("agent", ["look at what exists"]),
]


def test_everything_that_nanoclaw_does_in_a_session_is_tried_in_its_order(machine: Machine) -> None:
    """In the container, too; the script's own end is none of a failure."""
    observed = machine.probe()
    assert [(step.who, step.what) for step in observed.steps] == [
        (who, what) for who, all_of in STEPS for what in all_of
    ]
    assert observed.container == Container("ran", code=0, ids=(A, A))


@pytest.mark.parametrize("code", [137, 0])
def test_container_that_ends_before_its_last_step_is_no_proof(machine: Machine, code: int) -> None:
    """Its steps so far succeeded. Docker reports 137 for a container that the kernel killed."""
    cut = f'script="$(sed "/touch .heartbeat/,\\$d" <<<"$script"); exit {code}"'
    docker = machine.place / "bin" / "docker"
    docker.write_text(FAKE_DOCKER.replace("exec unshare", f"{cut}\nexec unshare"))
    observed = machine.probe()
    assert observed.container is not None and observed.container.state == "unfinished"
    assert (observed.container.code, observed.container.ids, observed.relied) == (code, (A, A), ["process"])
    assert not [step for step in observed.steps if step.error]


@pytest.mark.parametrize(("user", "more"), [(None, ""), ("1000:1000", "--user 1000:1000 -e HOME=/home/node ")])
def test_the_container_gets_the_session_alone(machine: Machine, tmp_path: Path, user: str | None, more: str) -> None:
    """Its places, its user, no network, and an image that is there already."""
    machine.environment["CALLS"] = str(tmp_path / "calls")
    machine.probe(user=user, image="nanoclaw-agent:latest")
    inspected, ran = (tmp_path / "calls").read_text().splitlines()
    assert inspected == "image inspect --format {{.Id}} nanoclaw-agent:latest"
    scratch = r"\.nanoclaw-pods-probe-[0-9a-f]{16}"
    assert re.fullmatch(
        r"run --rm --pull never --network none --name pods-probe-test-[0-9a-f]{8} --entrypoint sh "
        rf"{more}-v {machine.sessions}/{scratch}/sess-probe:/workspace -v {machine.groups}/{scratch}:/workspace/agent "
        rf"-v {machine.sessions}/{scratch}/\.claude-shared:/home/node/\.claude "
        rf"-v {machine.sessions}/{scratch}/\.context:/workspace-context nanoclaw-agent:latest -c ",
        ran,
    )


FAKE_SYSTEMCTL = r"""#!/bin/bash
[ "$*" = "show --property=ActiveState --value $GUARD" ] && echo failed
[ "$*" = "show --property=StatusText --value $GUARD" ] && echo "watching 3 directories"
exit 0
"""


def test_a_guard_that_does_not_do_its_work_is_reported(machine: Machine) -> None:
    """What systemd says of it, and whether root may do its work at all."""
    guard = "pods-guard-oslo.service"
    machine.environment["GUARD"] = guard
    systemctl = machine.place / "bin" / "systemctl"
    systemctl.write_text(FAKE_SYSTEMCTL)
    systemctl.chmod(0o755)
    observed = machine.probe(host=0, wait=0.2, guard=guard)
    assert (observed.guard, observed.guard_says, observed.chown) == ("failed", "watching 3 directories", None)
    assert observed.waited is not None and 0.2 <= observed.waited < 10


def test_root_that_may_not_chown_is_reported_beside_an_idle_guard(machine: Machine) -> None:
    argv = ["setpriv", "--bounding-set", "-chown", *machine.argv(host=0, wait=0.2)]
    done = subprocess.run(argv, capture_output=True, text=True, env=machine.environ(), check=True)
    assert TypeAdapter(Observations).validate_json(done.stdout.splitlines()[-1]).chown == "EPERM"


def test_wait_ends_when_the_guard_has_chowned_the_session(machine: Machine) -> None:
    argv = machine.argv(host=0, wait=60)
    with subprocess.Popen(argv, env=machine.environ(), stdout=-1, text=True) as probe:
        until(lambda: list(machine.sessions.glob(".nanoclaw-pods-probe-*/sess-probe/outbound.db")))
        time.sleep(0.3)
        chown_to_agent(machine.place)
        observed = TypeAdapter(Observations).validate_json(probe.communicate(timeout=60)[0].splitlines()[-1])
    assert (observed.created, observed.settled) == ([(0, 0)] * 7, [(A, A)] * 7)
    assert (observed.guard, errors(observed)) == (None, [])
    assert observed.waited is not None and observed.waited < 30


def test_agent_that_cannot_read_the_context_of_its_session_is_reported(machine: Machine) -> None:
    """It is 0600 in a directory of 0700: no mode lets another user than its owner read it."""
    argv = machine.argv(host=0, wait=3)
    with subprocess.Popen(argv, env=machine.environ(), stdout=-1, text=True) as probe:
        until(lambda: list(machine.sessions.glob(".nanoclaw-pods-probe-*/sess-probe/outbound.db")))
        time.sleep(0.3)
        trees = [machine.place / "data", machine.place / "groups"]
        skips = ["!", "-path", "*/.context*", "-exec", "chown", "-h", f"{A}:{A}", "{}", "+"]
        subprocess.run(["find", *trees, *skips], check=True)
        observed = TypeAdapter(Observations).validate_json(probe.communicate(timeout=60)[0].splitlines()[-1])
    assert observed.settled == [(A, A)] * 5 + [(0, 0)] * 2
    assert errors(observed) == [("agent", "read its context", "EACCES")]
    assert machine.scratch() == []


def test_directories_above_do_not_count(machine: Machine) -> None:
    machine.session("s1")
    machine.place.chmod(0o700)
    observed = machine.probe(host=0, agent=(A, A), wait=0)
    assert observed.survey is not None and observed.survey.refused == 0


def test_a_root_host_without_a_guard(machine: Machine) -> None:
    observed = machine.probe(host=0, wait=0.2)
    assert (observed.created, observed.settled) == ([(0, 0)] * 7, [(0, 0)] * 7)
    assert errors(observed) == [("agent", "write outbound.db with SQLite", "SQLITE")]
    assert machine.scratch() == []


def test_a_host_that_may_not_make_a_session(machine: Machine) -> None:
    os.chown(machine.sessions, 0, 0)
    assert [(who, error) for who, _what, error in errors(machine.probe())] == [("host", "EACCES")]
    assert machine.scratch() == []


def test_sessions_that_are_not_there_yet_are_not_left_behind(machine: Machine) -> None:
    machine.sessions.rmdir()
    assert errors(machine.probe()) == []
    assert not machine.sessions.exists()


def test_what_exists_and_cannot_be_written(machine: Machine) -> None:
    wrong, closed, fine = (machine.session(name) for name in ("s1", "s2", "s3"))
    (machine.sessions / "ag" / ".claude-shared").mkdir()
    os.chown(wrong / "outbound.db", 0, 0)
    closed.chmod(0o500)
    os.chown(machine.groups / "main", 33, 33)
    survey = machine.probe().survey
    assert survey is not None and survey.refused == 4
    refused = {(Path(it.path).relative_to(machine.place).as_posix(), it.owner) for it in survey.samples}
    assert refused == {
        ("data/v2-sessions/ag/s1/outbound.db", (0, 0)),
        ("data/v2-sessions/ag/s2", (A, A)),
        ("data/v2-sessions/ag/.claude-shared", (0, 0)),
        ("groups/main", (33, 33)),
    }
    assert fine.is_dir()


def test_links_are_no_sessions(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "else").mkdir(mode=0o700)
    machine.session("s1")
    (machine.sessions / "link").symlink_to(tmp_path)
    (machine.groups / "link").symlink_to(tmp_path / "else")
    survey = machine.probe().survey
    assert survey is not None and (survey.sessions, survey.groups, survey.refused) == (1, 1, 0)


def test_a_hot_journal_is_reported(machine: Machine) -> None:
    session = machine.session("s1")
    (session / "outbound.db-journal").write_text("left by a writer that was killed")
    (session / "inbound.db-journal").write_text("")
    survey = machine.probe().survey
    assert survey is not None and survey.journals == [str(session / "outbound.db-journal")]


def test_a_hot_journal_that_nanoclaw_heals_in_time_is_none(machine: Machine) -> None:
    journal = machine.session("s1") / "outbound.db-journal"
    journal.write_text("left by a writer that was killed")
    healing = Timer(5, journal.unlink)
    healing.start()
    survey = machine.probe(heal=60).survey
    healing.join()
    assert survey is not None and survey.journals == []


@pytest.mark.parametrize(("variable", "state"), [("NO_IMAGE", "no image"), ("BROKEN", "failed")])
def test_a_container_that_does_not_start(machine: Machine, variable: str, state: str) -> None:
    machine.environment[variable] = "1"
    observed = machine.probe()
    assert observed.container is not None and observed.container.state == state
    assert observed.relied == ["process"]


def test_an_image_with_another_user(machine: Machine) -> None:
    machine.environment["AGENT"] = "1001"
    observed = machine.probe()
    assert observed.container is not None and observed.container.ids == (1001, 1001)
    assert ("container", "open outbound.db for writing", "EXIT") in errors(observed)
    assert machine.scratch() == []


def test_nothing_is_done_where_a_mount_is_missing(machine: Machine) -> None:
    observed = machine.probe(mounts=["/pods-that-are-not-there"])
    assert (observed.missing, observed.steps, observed.survey) == (["/pods-that-are-not-there"], [], None)


def until(there: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def test_what_a_killed_probe_left_is_removed_by_the_next(machine: Machine) -> None:
    """Killed while it waits for a guard that does not come; a signal that can be caught leaves nothing."""
    for number, left in ((signal.SIGTERM, False), (signal.SIGKILL, True)):
        with subprocess.Popen(machine.argv(host=0, wait=60), env=machine.environ(), stderr=subprocess.DEVNULL) as probe:
            until(lambda: list(machine.sessions.glob(".nanoclaw-pods-probe-*/sess-probe/outbound.db")))
            probe.send_signal(number)
        assert bool(machine.scratch()) == left
    machine.probe()
    assert machine.scratch() == []


def test_two_probes_do_not_disturb_each_other(machine: Machine, tmp_path: Path) -> None:
    """Of one machine, which is one /run."""
    (tmp_path / "run").mkdir()
    one_run = [word.replace("-t tmpfs none", f"--bind {tmp_path}/run") for word in OWN_RUN]
    own = len(OWN_RUN)
    with subprocess.Popen(
        [*one_run, *machine.argv(host=0, wait=60)[own:]], env=machine.environ(), stderr=subprocess.DEVNULL
    ) as first:
        until(machine.scratch)
        second = subprocess.run(
            [*one_run, *machine.argv()[own:]], capture_output=True, text=True, env=machine.environ()
        )
        assert second.returncode != 0 and "another run" in second.stderr
        assert machine.scratch()
        first.terminate()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """What is root's, outside of the trees: a directory, and a database that looks like a session's."""
    path = tmp_path / "secret"
    (path / "outbox" / "kept").mkdir(parents=True)
    (path / "skills").mkdir()
    (path / ".heartbeat").touch()
    for name in ("outbound.db", "inbound.db"):
        database = sqlite3.connect(path / name)
        database.execute("CREATE TABLE note (text)")
        database.execute("INSERT INTO note VALUES ('kept')")
        database.commit()
        database.close()
    path.chmod(0o755)
    return path


def picture(place: Path) -> dict[str, Any]:
    """All of a tree: owners, modes, contents."""
    return {
        str(path): (info.st_uid, info.st_gid, info.st_mode, path.read_bytes() if path.is_file() else None)
        for path in [place, *sorted(place.rglob("*"))]
        for info in [path.lstat()]
    }


ATTACKS = {
    "the session is a link": 'mv "$S/sess-probe" "$S/aside"; ln -s "$SECRET" "$S/sess-probe"',
    "the session's parent is a link": 'mv "$S" "$S-aside"; mkdir "$DIR"; mv "$DIR" "$S.x"; ln -s "$SECRETS" "$S"',
    "the database is a link": 'ln -sf "$SECRET/outbound.db" "$S/sess-probe/outbound.db"',
    "the outbox is a link": 'rm -r "$S/sess-probe/outbox"; ln -s "$SECRET/outbox" "$S/sess-probe/outbox"',
    "the journal is a link": 'ln -sf "$SECRET/.heartbeat" "$S/sess-probe/outbound.db-journal"',
    "the sessions are a link": 'mv "$SESSIONS" "$SESSIONS.aside"; ln -s "$SECRET" "$SESSIONS"',
    "the data are a link": 'mv "${SESSIONS%/*}" "${SESSIONS%/*}.aside"; ln -s "$SECRET" "${SESSIONS%/*}"',
    "the agent's mount point is a link": 'ln -s "$SECRET" "$S/sess-probe/agent"',
}
"""What somebody with the agent's ids swaps under a probe that runs as root; $S is its scratch."""


@pytest.mark.parametrize("moment", ["while it waits for the guard", "before the container"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_the_probe_follows_no_link_as_root(machine: Machine, secret: Path, attack: str, moment: str) -> None:
    """Neither to chown, nor to make a mount point, nor to write a database, nor to remove."""
    (secret.parent / "parents").mkdir()
    (secret.parent / "parents" / "sess-probe").symlink_to(secret)
    names = {"SECRET": secret, "SECRETS": secret.parent / "parents", "SESSIONS": machine.sessions}
    names["DIR"] = machine.sessions / "new"
    script = "".join(f"{name}={value}\n" for name, value in names.items())
    script += f"S=$(echo {machine.sessions}/.nanoclaw-pods-probe-*)\n{ATTACKS[attack]}\n"
    before = picture(secret)
    if moment == "before the container":
        (machine.place / "bin" / "docker").write_text(
            FAKE_DOCKER.replace("image) ", f"image) (\n{script}) >/dev/null 2>&1; ", 1)
        )
        machine.probe(host=0, agent=(0, 0))
    else:
        argv = machine.argv(host=0, wait=2)
        with subprocess.Popen(argv, env=machine.environ(), stdout=-1, stderr=-1) as probe:
            until(lambda: list(machine.sessions.glob(".nanoclaw-pods-probe-*/sess-probe/outbound.db")))
            time.sleep(0.3)
            subprocess.run(["bash", "-c", script], check=True, capture_output=True)
            probe.communicate(timeout=60)
    assert picture(secret) == before


def test_a_tree_behind_a_link_is_refused_before_anything_is_made(machine: Machine, secret: Path) -> None:
    before = picture(secret)
    data = machine.sessions.parent
    data.rename(data.with_name("aside"))
    data.symlink_to(secret)
    os.chown(data, A, A, follow_symlinks=False)
    os.chown(machine.place, A, A)
    steps = machine.probe(host=0).steps
    assert [(step.who, step.what) for step in steps] == [("root", "look at the file system")]
    assert steps[0].error in ("ELOOP", "ENOTDIR")
    assert picture(secret) == before
