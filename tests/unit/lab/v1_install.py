"""The stand-in NanoClaw v1 with a `docker` that only runs the agent's script, and what tests ask of it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.lab import v1_standin
from tests.lab.v1_schema import Version
from tests.unit.lab.standin_install import wait_for

# Keeps each `run` command line, and the agent's process under the container's name; `broken` makes it fail.
FAKE_DOCKER = """#!/bin/bash
running=$FAKE_DIR/running
alive() { for one in "$running"/*; do [ ! -e "$one" ] || ! kill -0 "$(cat "$one")" || basename "$one"; done 2>&-; }
case $1 in
    info) exit "${DOCKER_DOWN:-0}" ;;
    ps) alive ;;
    stop) kill "$(cat "$running/${!#}")" ;;
esac
[ "$1" = run ] || exit 0
[ ! -e "$FAKE_DIR/broken" ] || { echo "no such image" >&2; exit 125; }
printf '%s\\n' "$@" > "$FAKE_DIR/run-$(date +%s%N)"
echo $$ > "$running/$5"
inside=$(mktemp -d "$FAKE_DIR/inside-XXXXXX")
while [ $# -gt 0 ]; do
    case $1 in
        *:/workspace/group) ln -s "${1%%:*}" "$inside/group" ;;
        *:/workspace/ipc) ln -s "${1%%:*}" "$inside/ipc" ;;
        *:/home/node/.claude) ln -s "${1%%:*}" "$inside/.claude" ;;
        *:/app/src) code=${1%%:*} ;;
    esac
    shift
done
export HOME=$inside NANOCLAW_WORKSPACE=$inside
exec sh "$code/agent.sh"
"""


class Install:
    """A v1 of some version that is set up but not installed, and what a test asks of it."""

    def __init__(self, base: Path, version: Version) -> None:
        self.root, self.fake = base / "nanoclaw", base / "fake"
        for name in ("bin", "running"):
            (self.fake / name).mkdir(parents=True)
        docker = self.fake / "bin/docker"
        docker.write_text(FAKE_DOCKER)
        docker.chmod(0o755)
        self.env = os.environ | {
            "PATH": f"{docker.parent}:{os.environ['PATH']}",
            "FAKE_DIR": str(self.fake),
            "POLL_INTERVAL_MS": "200",
            "SCHEDULER_INTERVAL_MS": "300",
            "IDLE_TIMEOUT": "1000",
            "TZ": "UTC",
        }
        self.host: subprocess.Popen[bytes] | None = None
        self.unpack(version)

    def unpack(self, version: Version) -> None:
        for path, (content, mode) in v1_standin.files(version).items():
            file = self.root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            file.chmod(mode)

    def setup(self, how: str = "system", **env: str) -> None:
        """What setup.sh does, without starting anything."""
        places = {"UNIT_DIR": str(self.fake)} | env
        subprocess.run(["./setup.sh", how], cwd=self.root, env=self.env | places, check=True, timeout=60)

    def node(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["node", *args], cwd=self.root, env=self.env, capture_output=True, text=True, timeout=60, check=False
        )

    def start(self, **env: str) -> subprocess.Popen[bytes]:
        """Starts the host and waits until it runs, or has ended."""
        before = self.log().count("NanoClaw running")
        with (self.fake / "host.log").open("ab") as log:
            self.host = host = subprocess.Popen(
                ["node", "dist/index.js"], cwd=self.root, env=self.env | env, stdout=log, stderr=log
            )
        wait_for(lambda: self.log().count("NanoClaw running") > before or host.poll() is not None)
        return host

    def log(self) -> str:
        path = self.fake / "host.log"
        return path.read_text() if path.exists() else ""

    def chat(self, text: str, *, folder: str = "main", timeout: int = 20) -> subprocess.CompletedProcess[str]:
        return self.node("dist/chat.js", "--folder", folder, "--timeout", str(timeout), text)

    def sql(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        with sqlite3.connect(self.root / "store/messages.db", timeout=20) as database:
            return database.execute(statement, values).fetchall()

    def transcripts(self, folder: str = "main") -> dict[str, list[dict[str, object]]]:
        files = (self.root / f"data/sessions/{folder}/.claude/projects/-workspace-group").glob("*.jsonl")
        return {file.stem: [json.loads(line) for line in file.read_text().splitlines()] for file in files}

    def mounts(self) -> list[str]:
        run = max(self.fake.glob("run-*")).read_text().splitlines()
        return [run[at + 1].split(":", 1)[1] for at, word in enumerate(run) if word == "-v"]


def made(base: Path, version: Version) -> Iterator[Install]:
    """For a fixture: a v1 that is set up; at the end its host and its agents are ended."""
    it = Install(base, version)
    it.setup()
    yield it
    if it.host is not None and it.host.poll() is None:
        it.host.kill()
        it.host.wait()
    for agent in (it.fake / "running").iterdir():
        with suppress(ProcessLookupError):
            os.kill(int(agent.read_text()), signal.SIGKILL)
