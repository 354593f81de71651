"""2.4.0 needs a gateway, which a skill brings. The setup of 2026.10.0 commits what a skill writes."""

from __future__ import annotations

import json
import shutil
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from files.pods.source.git_worktree import Tree
from files.pods.source.setup_commits import setup_commits
from files.pods.source.skill_results import SkillResult, read_step
from tests.unit.lab.later_docker import arguments, containers, end_containers, install_docker
from tests.unit.lab.standin_install import Install, git, wait_for
from tests.unit.lab.standin_versions import At, as_node, drive, install_modules, marked, moves, stop, usable_pnpm

MISSING = [tool for tool in ("git", "node", "sqlite3") if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not on this machine: {', '.join(MISSING)}")


class OneCli(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/v1/health" else 404)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    """A OneCLI that serves /v1."""
    with HTTPServer(("127.0.0.1", 0), OneCli) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


@pytest.fixture
def pnpm(monkeypatch: pytest.MonkeyPatch) -> str:
    return usable_pnpm(monkeypatch)


@pytest.fixture
def at(pnpm: str) -> Iterator[At]:
    """An install at a tag, with its modules; its agents end with the test."""
    for move in moves():
        installs: list[Install] = []

        def prepared(tag: str, move: At = move, installs: list[Install] = installs) -> Install:
            install = move(tag)
            install_modules(install, pnpm)
            install_docker(install)
            installs.append(install)
            return install

        yield prepared
        for install in installs[-1:]:
            end(install)


def end(install: Install) -> None:
    stop(install)
    end_containers(install)
    wait_for(lambda: not containers(install))


def add_gateway(install: Install, server: str, **env: str) -> None:
    done = drive(install, "setup/index.ts", "--step", "gateway", "--", "onecli", NANOCLAW_ONECLI_API_HOST=server, **env)
    assert read_step(done.stdout, done.returncode) == SkillResult(True), done.stdout + done.stderr


def start(install: Install) -> None:
    install.start(CIRCUIT_BREAKER_SECONDS="0", **as_node(install, "24.22.3"))


def test_it_ends_without_a_gateway(at: At) -> None:
    install = at("v2.4.0")
    marked(install)
    start(install)
    assert install.host and install.host.wait(timeout=20) == 1
    assert "No gateway provider is registered in this build" in install.log()


def test_the_setup_applies_a_gateway_with_a_server_that_runs(at: At, server: str) -> None:
    install = at("v2.4.0")
    add_gateway(install, server, NANOCLAW_ONECLI_API_TOKEN="secret")
    add_gateway(install, server)  # it may be repeated
    env = (install.root / ".env").read_text().splitlines()
    assert sorted(env) == ["NANOCLAW_GATEWAY_PROVIDER=onecli", "ONECLI_API_KEY=secret", f"ONECLI_URL={server}"]
    assert json.loads((install.root / "package.json").read_text())["dependencies"]["@onecli-sh/sdk"] == "2.2.1"
    changed = {line.split()[-1] for line in git("status", "--porcelain", cwd=install.root).splitlines()}
    providers = {f"src/gateway-providers/{name}" for name in ("installed.ts", "onecli.js")}
    assert changed == {"package.json", "pnpm-lock.yaml", *providers}
    marked(install)
    start(install)
    assert install.chat("hello").stdout == "echo: hello\n"


def test_the_setup_fails_without_a_server_that_serves_v1(at: At, server: str) -> None:
    install = at("v2.4.0")
    for named in ("http://127.0.0.1:9", f"{server}/old"):
        step = ("setup/index.ts", "--step", "gateway", "--", "onecli")
        done = drive(install, *step, NANOCLAW_ONECLI_API_HOST=named)
        assert done.returncode == 1
        assert read_step(done.stdout, 1).failed == ("add-onecli was not applied in whole",), done.stdout
    assert not (install.root / ".env").exists()


def test_a_stub_that_is_not_the_hosts_own_stops_agents(at: At, server: str) -> None:
    install = at("v2.4.0")
    add_gateway(install, server)
    marked(install)
    start(install)
    assert install.chat("hello").stdout == "echo: hello\n"
    (stub,) = (install.root / "data/onecli").iterdir()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (stub.parent, stub)] == [0o700, 0o600]
    assert f"{stub}:/app/.onecli.json:ro" in arguments(install)
    end_containers(install)
    wait_for(lambda: not containers(install))
    stub.chmod(0o640)
    assert "has another owner or mode" in install.chat("lost", timeout=3).stderr


@pytest.mark.parametrize(
    ("tag", "lower", "column"), [("v2.4.0", "v2.3.0", "gateway"), ("v2026.10.0", "v2.4.0", "origin")]
)
def test_a_lower_version_makes_no_session(at: At, server: str, tag: str, lower: str, column: str) -> None:
    install = at(tag)
    for ref in (tag, lower):
        at(ref)
        if ref != "v2.3.0":
            add_gateway(install, server, NANOCLAW_SETUP_COMMIT="0")
        marked(install)
        start(install)
        answer = install.chat("hello", session=ref)
        end(install)
    assert f"NOT NULL constraint failed: sessions.{column}" in answer.stderr


def test_a_skill_that_is_applied_is_committed_and_the_marker_carried_over(at: At, server: str) -> None:
    install = at("v2026.10.0")
    released = git("rev-parse", "HEAD", cwd=install.root)
    marked(install)
    add_gateway(install, server, NANOCLAW_SETUP_COMMIT="0")
    assert git("rev-parse", "HEAD", cwd=install.root) == released
    add_gateway(install, server)
    head = git("rev-parse", "HEAD", cwd=install.root)
    assert setup_commits(Tree(str(install.root)), head) == (released, ["add-onecli"])
    assert git("status", "--porcelain", cwd=install.root) == ""
    assert json.loads((install.root / "data/upgrade-state.json").read_text())["commit"] == head
    start(install)
    assert install.chat("hello").stdout == "echo: hello\n"
