"""The stand-in NanoClaw, without Docker: a fake `docker` runs the agent's script on the session's own directories."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import standin
from tests.unit.lab.standin_install import Install, find_pnpm, git, made, wait_for

MISSING = [tool for tool in ("git", "node", "sqlite3") if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not on this machine: {', '.join(MISSING)}")

MOUNTS = """
/workspace /workspace/agent /workspace/agent/container.json:ro /workspace/agent/CLAUDE.md:ro
/workspace/agent/.claude-fragments:ro /app/CLAUDE.md:ro /home/node/.claude /app/src:ro /app/skills:ro
"""


@pytest.fixture
def install() -> Iterator[Install]:
    with tempfile.TemporaryDirectory() as name:  # not tmp_path: an agent with another uid must get in
        base = Path(name)
        base.chmod(0o755)
        yield from made(base)


def test_the_repository_is_the_same_wherever_it_is_made(tmp_path: Path) -> None:
    heads = []
    for name in ("one.git", "two.git"):
        standin.make_repository(tmp_path / name)
        heads.append(git("--git-dir", str(tmp_path / name), "show-ref"))
    assert heads[0] == heads[1]
    refs = [line.split()[1] for line in heads[0].splitlines()]
    assert refs == ["refs/heads/channels", "refs/heads/main", *sorted(f"refs/tags/{tag}" for tag in standin.RELEASES)]
    assert standin.digest() == standin.digest()


def test_the_later_release_runs_only_after_a_new_install_and_a_new_build(install: Install) -> None:
    git("checkout", "-q", "v2.0.65", cwd=install.root)
    (install.root / "node_modules" / "release-notes").unlink(missing_ok=True)
    install.node("scripts/build.mjs")
    assert "Cannot find package 'release-notes'" in install.node("dist/index.js").stderr
    for stale in (install.root / "node_modules").iterdir():
        stale.unlink()
    install.build()
    install.start()
    assert install.chat("hello").stdout == "echo: hello\n"
    assert 'version="2.0.65"' in install.log()


@pytest.fixture(scope="module")
def pnpm() -> str:
    pnpm_path = find_pnpm()
    if pnpm_path is None:
        pytest.skip("neither pnpm nor an npm that gets it is on this machine")
    return pnpm_path


@pytest.mark.parametrize("tag", standin.RELEASES)
def test_the_lock_file_is_one_that_pnpm_accepts_without_a_network(tmp_path: Path, pnpm: str, tag: str) -> None:
    root = Install(tmp_path, tag).root
    subprocess.run([pnpm, "install", "--frozen-lockfile", "--offline"], cwd=root, check=True, capture_output=True)
    subprocess.run([pnpm, "run", "build"], cwd=root, check=True, capture_output=True)
    assert json.loads((root / "dist/version.json").read_text()) == {"version": tag.removeprefix("v")}
    sorted_out = json.loads((root / "package.json").read_text())
    assert set(sorted_out["dependencies"]) <= {path.name for path in (root / "node_modules").iterdir()} | {
        "@onecli-sh/sdk"
    }
    step = [pnpm, "exec", "tsx", "setup/migrate-v2/env.ts", str(tmp_path)]
    output = subprocess.run(step, cwd=root, check=True, capture_output=True, text=True).stdout
    assert output == "SKIPPED:no v1 .env\n"
    assert git("status", "--porcelain", cwd=root) == ""


def test_only_a_host_that_is_neither_root_nor_1000_names_the_user(install: Install) -> None:
    result = "JSON.stringify([0, 1000, 1500].map((uid) => userArgs(uid, 1600)))"
    script = f"import {{ userArgs }} from './dist/containers.js'; console.log({result})"
    answers = json.loads(install.node("--input-type=module", "-e", script).stdout)
    assert answers == [[], [], ["--user", "1500:1600", "-e", "HOME=/home/node"]]


def test_a_message_is_answered_and_leaves_what_the_contract_says(install: Install) -> None:
    install.start()
    answer = install.chat('it\'s me, "quoted"\nand $(more)')
    assert (answer.returncode, answer.stdout) == (0, 'echo: it\'s me, "quoted"\nand $(more)\n'), answer.stderr
    assert install.chat("again").stdout == "echo: again\n"
    assert install.chat("other", session="other").stdout == "echo: other\n"

    root = install.root
    first, second = install.sessions()
    assert first.parent == second.parent
    for database in ("inbound.db", "outbound.db"):
        assert stat.S_IMODE((first / database).stat().st_mode) == 0o644
        with sqlite3.connect(first / database) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert (first / "outbox").is_dir()
    with sqlite3.connect(root / "data/v2.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert stat.S_IMODE((root / "data/cli.sock").stat().st_mode) == 0o600
    shared = first.parent / ".claude-shared"
    assert (shared / "settings.json").exists()
    assert (shared / "skills/welcome").readlink() == Path("/app/skills/welcome")
    assert (shared / "projects/-workspace-agent/session.jsonl").exists()

    group = root / "groups/main"
    assert "Remember things" in (group / "CLAUDE.local.md").read_text()
    assert (group / ".claude-shared.md").readlink() == Path("/app/CLAUDE.md")
    assert (group / "conversations/log.md").exists()
    assert not (root / "groups/global").exists()
    assert git("status", "--porcelain", cwd=root).split() == [
        "D",
        "groups/global/CLAUDE.md",
        "M",
        "groups/main/CLAUDE.md",
    ]

    run = max(install.fake.glob("run-*")).read_text().splitlines()
    slug = run[run.index("--label") + 1].removeprefix("nanoclaw-install=")
    assert run[-1] == f"nanoclaw-agent-v2-{slug}:latest"
    assert run[run.index("--name") + 1].startswith("nanoclaw-v2-main-")
    targets = [run[at + 1].split(":", 1)[1] for at, word in enumerate(run) if word == "-v"]
    assert targets == MOUNTS.split()


def test_a_clean_stop_forgets_the_attempts_and_a_crash_counts_them(install: Install) -> None:
    breaker = install.root / "data/circuit-breaker.json"
    install.start().kill()
    host = install.start(CIRCUIT_BREAKER_SECONDS="0,0")
    assert install.chat("hello").returncode == 0
    assert json.loads(breaker.read_text())["attempt"] >= 1
    host.terminate()
    assert host.wait(timeout=20) == 0
    assert not breaker.exists()
    assert not (install.root / "data/cli.sock").exists()


def test_the_host_does_not_start_without_docker(install: Install) -> None:
    assert install.start(DOCKER_DOWN="1").wait(timeout=20) == 1
    assert "Startup failed" in install.log()
    assert (install.root / "data/circuit-breaker.json").exists()


def test_the_unit_is_the_plain_one_of_upstream(install: Install) -> None:
    if os.getuid() != 0:
        pytest.skip("only root writes a system unit")
    env = os.environ | {"UNIT_DIR": str(install.fake)}
    name = subprocess.run(["setup/service.sh"], cwd=install.root, env=env, check=True, capture_output=True, text=True)
    unit = (install.fake / f"{name.stdout.strip()}.service").read_text()
    assert f"{install.root}/dist/index.js" in unit
    assert "User=" not in unit
    assert "docker" not in unit


as_root = pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("setpriv") is None, reason="only root can run the agent as somebody else"
)


@as_root
def test_a_root_host_and_an_agent_of_1000_reproduce_the_incident_until_a_chown(install: Install) -> None:
    install.start(AGENT_UID="1000")
    messages = 0
    for patience in (2, 4, 8, 16):  # on a busy machine an agent needs a while to fail
        messages += 1
        silence = install.chat("hello", timeout=patience)
        assert silence.returncode == 1
        assert "the message is still open" in silence.stderr
        if "container exited with code 1" in silence.stderr:
            break
    else:
        pytest.fail(silence.stderr)
    wait_for(lambda: install.log().count("Spawning container") >= 2)
    assert "readonly database" not in silence.stderr + install.log()  # the real one's default log does not say it
    assert "Container exited" in install.log() and "code=1 " in install.log()

    for tree in (install.root / "data/v2-sessions", install.root / "groups"):
        subprocess.run(["chown", "-hR", "1000:1000", str(tree)], check=True)
    assert install.chat("and now?").stdout == "echo: and now?\n"
    wait_for(lambda: install.log().count("Message delivered") == messages + 1)  # what had failed is answered too


@as_root
def test_an_agent_without_its_home_closes_the_message_without_an_answer(install: Install) -> None:
    install.start(AGENT_UID="1000")
    install.chat("hello", timeout=1)
    wait_for(install.sessions)
    (session,) = install.sessions()
    subprocess.run(["chown", "-R", "1000:1000", str(session)], check=True)
    closed = install.chat("hello?", timeout=20)
    assert closed.returncode == 1
    assert closed.stderr.startswith("marked completed without an answer")
