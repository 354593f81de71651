"""2.3.0: agents outlive the host process, which adopts them, and read a file that only its owner may read."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.unit.lab.later_docker import arguments, containers, end_containers, install_docker
from tests.unit.lab.standin_install import Install, git, wait_for
from tests.unit.lab.standin_versions import At, as_node, marked, moves, stop

MISSING = [tool for tool in ("git", "node", "sqlite3") if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not on this machine: {', '.join(MISSING)}")


@pytest.fixture
def at() -> Iterator[At]:
    yield from moves()


@pytest.fixture
def install(at: At) -> Iterator[Install]:
    install = at("v2.3.0")
    install_docker(install)
    marked(install)
    yield install
    stop(install)
    end_containers(install)
    wait_for(lambda: not containers(install))


def start(install: Install, **env: str) -> None:
    install.start(CIRCUIT_BREAKER_SECONDS="0", **as_node(install, "24.22.3"), **env)


def test_an_agent_outlives_the_host_and_is_adopted(install: Install) -> None:
    start(install, IDLE_TIMEOUT="60000")
    assert install.chat("one").stdout == "echo: one\n"
    before = containers(install)
    stop(install)
    assert containers(install) == before and len(before) == 1
    start(install)
    assert install.chat("two").stdout == "echo: two\n"
    assert containers(install) == before and "Adopted container" in install.log()
    end_containers(install)
    wait_for(lambda: not containers(install))
    assert install.chat("three").stdout == "echo: three\n"
    assert containers(install) != before


def test_a_container_is_named_and_labelled_by_its_session(install: Install) -> None:
    start(install)
    install.chat("hello")
    (session,) = install.sessions()
    argv = arguments(install)
    name = argv[argv.index("--name") + 1]
    assert name.startswith("ncl-") and len(name) <= 48 and session.name[:10] in name
    labels = dict(after.split("=", 1) for word, after in pairwise(argv) if word == "--label")
    former = labels.pop("nanoclaw-container-name")
    assert former.startswith("nanoclaw-v2-main-") and labels.pop("nanoclaw-install") in name
    assert labels == {
        "nanoclaw-group": session.parent.name,
        "nanoclaw-session": session.name,
        "nanoclaw-role": "agent",
        "nanoclaw-group-folder": "main",
    }


def test_a_long_name_is_shortened_to_a_digest(install: Install) -> None:
    script = (
        "import { containerName } from './dist/drivers/docker-driver.js'; console.log(containerName('s'.repeat(60)))"
    )
    name = install.node("--input-type=module", "-e", script).stdout.strip()
    assert len(name) == 48 and name[38:40] == "s-" and int(name[40:], 16) >= 0


def test_only_root_leaves_the_user_to_the_image(install: Install) -> None:
    script = (
        "import { userArgs } from './dist/containers.js';"
        "console.log(JSON.stringify([0, 1000].map((uid) => userArgs(uid, 1600))))"
    )
    answers = json.loads(install.node("--input-type=module", "-e", script).stdout)
    assert answers == [[], ["--user", "1000:1600", "-e", "HOME=/home/node"]]


def test_the_context_of_a_session_is_its_owners_alone(install: Install) -> None:
    start(install)
    install.chat("hello")
    (session,) = install.sessions()
    directory = session.parent / ".context"
    file = directory / f"{session.name}.json"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (directory, file)] == [0o700, 0o600]
    assert json.loads(file.read_text())["session"] == session.name


@pytest.mark.skipif(os.getuid() != 0, reason="only root can run the agent as somebody else")
def test_an_agent_that_cannot_read_its_context_never_answers_until_a_chown(install: Install) -> None:
    start(install, AGENT_UID="1000")
    assert install.chat("hello", timeout=3).returncode == 1
    for path in install.root.glob("data/v2-sessions/*"):
        for below in [path, *path.rglob("*")]:
            os.chown(below, 1000, 1000, follow_symlinks=False)
            if below.name == ".context":
                os.chown(below, 0, 0)
    assert install.chat("hello", timeout=3).returncode == 1
    for below in install.root.glob("data/v2-sessions/*/.context"):
        os.chown(below, 1000, 1000)
    for below in install.root.glob("groups/**/*"):
        os.chown(below, 1000, 1000, follow_symlinks=False)
    os.chown(install.root / "groups/main", 1000, 1000)
    assert install.chat("again").stdout == "echo: again\n"


def test_a_group_folder_that_is_no_label_is_refused(install: Install) -> None:
    start(install)
    answer = install.node("dist/chat.js", "--folder", "main_", "--timeout", "3", "hello")
    assert answer.returncode == 1 and "bad group folder main_" in answer.stderr


def test_a_marker_is_bound_to_the_commit(install: Install) -> None:
    state = json.loads((install.root / "data/upgrade-state.json").read_text())
    assert state["commit"] == git("rev-parse", "HEAD", cwd=install.root)
    who = ("-c", "user.name=a", "-c", "user.email=a@lab.invalid")
    git(*who, "commit", "--quiet", "--allow-empty", "-m", "mine", cwd=install.root)
    assert install.start(CIRCUIT_BREAKER_SECONDS="0", **as_node(install, "24.22.3")).wait(timeout=20) == 1
    assert "was not reached through a supported update" in install.log()
    shutil.move(install.root / ".git", install.root / "moved.git")  # then the version alone counts
    start(install)
    assert install.chat("hello").stdout == "echo: hello\n"


def test_it_crashes_at_the_first_database_before_node_22_14(install: Install) -> None:
    for node in ("20.20.2", "22.13.1"):
        host = install.start(CIRCUIT_BREAKER_SECONDS="0", **as_node(install, node))
        assert host.wait(timeout=20) == -signal.SIGSEGV
    install.start(CIRCUIT_BREAKER_SECONDS="0", **as_node(install, "22.14.0"))
    assert install.chat("hello").stdout == "echo: hello\n"


def test_a_lower_version_makes_no_session_on_its_database(at: At, install: Install) -> None:
    start(install)
    assert install.chat("one").stdout == "echo: one\n"
    stop(install)
    end_containers(install)
    wait_for(lambda: not containers(install))
    lower = at("v2.1.54")
    marked(lower)
    lower.start()
    assert "NOT NULL constraint failed: sessions.mailbox" in lower.chat("lost", session="lost").stderr
