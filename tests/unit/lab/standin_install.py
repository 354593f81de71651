"""An install of the stand-in NanoClaw with a `docker` that only runs the agent's script, and what tests ask of it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.lab import standin

PROJECT = Path(__file__).resolve().parents[3]

# Keeps each `run` command line; runs the agent as AGENT_UID where that is set, as Docker would.
FAKE_DOCKER = """#!/bin/bash
[ "$1" = info ] && exit "${DOCKER_DOWN:-0}"
[ "$1" = run ] || exit 0
printf '%s\\n' "$@" > "$FAKE_DIR/run-$(date +%s%N)"
home=$(mktemp -d "$FAKE_DIR/home-XXXXXX")
chmod 777 "$home"
while [ $# -gt 0 ]; do
    case $1 in
        *:/workspace) session=${1%%:*} ;;
        *:/workspace/agent) agent=${1%%:*} ;;
        *:/home/node/.claude) ln -s "${1%%:*}" "$home/.claude" ;;
        *:/app/src:ro) code=${1%%:*} ;;
        IDLE_TIMEOUT=*) export "$1" ;;
    esac
    shift
done
export HOME=$home NANOCLAW_WORKSPACE=$session NANOCLAW_AGENT_DIR=$agent
as=${AGENT_UID:+setpriv --reuid $AGENT_UID --regid $AGENT_UID --clear-groups}
exec $as sh "$code/agent.sh"
"""


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Waits until something is so; an error if it does not come to be."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not so within {seconds} s")
        time.sleep(0.05)


def find_pnpm() -> str | None:
    """The pnpm that the stand-in names: this machine's, or one that npm puts below build/; None without both."""
    manifest = json.loads((standin.SOURCES / "package.json").read_text(encoding="utf-8"))
    if there := shutil.which("pnpm"):
        return there
    prefix = PROJECT / "build" / "pnpm"
    program = prefix / "node_modules/.bin/pnpm"
    if not program.exists() and (npm := shutil.which("npm")):
        argv = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(prefix)]
        subprocess.run([*argv, manifest["packageManager"]], capture_output=True, timeout=300, check=False)
    return str(program) if program.exists() else None


def git(*args: str, cwd: Path | None = None) -> str:
    return subprocess.run(["git", *args], cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()


class Install:
    """A clone that is installed, built and started, and what a test asks of it."""

    def __init__(self, base: Path, tag: str = "v2.0.64") -> None:
        standin.make_repository(base / "nanoclaw.git")
        self.root = base / "nanoclaw"
        git("-c", "advice.detachedHead=false", "clone", "-q", "-b", tag, str(base / "nanoclaw.git"), str(self.root))
        self.fake = base / "fake"
        (self.fake / "bin").mkdir(parents=True)
        self.fake.chmod(0o777)
        docker = self.fake / "bin" / "docker"
        docker.write_text(FAKE_DOCKER)
        docker.chmod(0o755)
        self.env = os.environ | {
            "PATH": f"{docker.parent}:{os.environ['PATH']}",
            "FAKE_DIR": str(self.fake),
            "SWEEP_INTERVAL_MS": "500",
            "DELIVERY_INTERVAL_MS": "300",
            "IDLE_TIMEOUT": "2000",
        }
        self.host: subprocess.Popen[bytes] | None = None

    def build(self) -> None:
        for package in (self.root / "packages").iterdir():  # what `pnpm install` does with link: dependencies
            link = self.root / "node_modules" / json.loads((package / "package.json").read_text())["name"]
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(package)
        self.node("scripts/build.mjs")

    def node(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["node", *args], cwd=self.root, env=self.env, capture_output=True, text=True, timeout=60, check=False
        )

    def start(self, **env: str) -> subprocess.Popen[bytes]:
        """Starts the host and waits until it listens, or has ended."""
        log = (self.fake / "host.log").open("ab")
        self.host = subprocess.Popen(
            ["node", "dist/index.js"], cwd=self.root, env=self.env | env, stdout=log, stderr=subprocess.STDOUT
        )
        host, socket = self.host, self.root / "data/cli.sock"
        wait_for(lambda: socket.exists() or host.poll() is not None)
        return host

    def chat(
        self, text: str, *, session: str = "default", migrated: str | None = None, timeout: int = 60
    ) -> subprocess.CompletedProcess[str]:
        """Talks to a session of main; with `migrated` to what the migration made of the folder that this names."""
        whom = ["--session", session] if migrated is None else ["--folder", migrated, "--migrated"]
        return self.node("dist/chat.js", *whom, "--timeout", str(timeout), text)

    def step(self, name: str, v1: Path, *more: str) -> subprocess.CompletedProcess[str]:
        """Runs a step of the migration, as `pnpm exec tsx` does."""
        argv = ["packages/tsx/tsx.sh", f"setup/migrate-v2/{name}.ts", str(v1), *more]
        return subprocess.run(argv, cwd=self.root, capture_output=True, text=True, timeout=60, check=False)

    def log(self) -> str:
        return (self.fake / "host.log").read_text()

    def sql(self, statement: str, database: Path = Path("data/v2.db")) -> list[tuple[Any, ...]]:
        """What SQLite answers: of the central database, or of one below the project root."""
        with closing(sqlite3.connect(self.root / database, timeout=20)) as connection, connection:
            return connection.execute(statement).fetchall()

    def migrated(self, folder: str) -> Path:
        """The directory of the one session that a migration made for a folder's chat."""
        query = f"SELECT id FROM agent_groups WHERE folder = '{folder}'"
        ((group, session),) = self.sql(
            "SELECT agent_group_id, id FROM sessions WHERE messaging_group_id IS NOT NULL AND thread_id IS NULL"
            f" AND agent_group_id = ({query})"
        )
        return self.root / f"data/v2-sessions/{group}/{session}"

    def sessions(self) -> list[Path]:
        return [path.parent for path in self.root.glob("data/v2-sessions/*/*/inbound.db")]


def made(base: Path) -> Iterator[Install]:
    """For a fixture: an install that is built; at the end its host is ended."""
    it = Install(base)
    it.build()
    yield it
    if it.host is not None and it.host.poll() is None:
        it.host.kill()
        it.host.wait()
    time.sleep(0.1)
    shutil.rmtree(base / "fake", ignore_errors=True)
