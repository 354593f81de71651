"""Node, pnpm and Docker are what their user finds and can run, and not what root finds."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from files.pods.machine import runtime
from files.pods.machine.protocol import InstallPnpmRequest, Node
from files.pods.service import state as host_service
from files.pods.source import checkout
from tasks.model.problem import UnfitError
from tests.programs import request_argv
from tests.unit.host.test_runtime import DEBIAN_12, DONE, missing, without
from tests.unit.host.test_runtime_state import NAMES

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")

USER = ("no-such-user", 54321, 54321)


@pytest.fixture
def folders() -> Iterator[Path]:
    """A directory that everybody may enter, with one of root's alone in it."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        for folder, mode in (("root", 0o700), ("local", 0o755), ("system", 0o755)):
            (path / folder).mkdir(mode=mode)
        yield path


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def nvm(folders: Path) -> str:
    """A node and an npm in /usr/local/bin that are links into root's home; and the distribution's. The PATH of both."""
    for name, script in (("node", "echo v24.0.0"), ("npm", "echo 11.0.0")):
        (folders / "local" / name).symlink_to(program(folders / "root" / name, script))
        program(folders / "system" / name, script.replace("24", "22"))
    return f"{folders}/local:{folders}/system"


def test_node_is_searched_as_who_runs_it(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = nvm(folders)
    monkeypatch.setattr(runtime, "HOST_PATH", path)
    monkeypatch.setattr(host_service, "NODE_PATH", path)
    roots, theirs = runtime.read_state("root", 0, 0, *NAMES), runtime.read_state(*USER, *NAMES)
    assert roots.node == Node(f"{folders}/local/node", 24)
    assert theirs.node == Node(f"{folders}/system/node", 22)
    assert host_service.node_of("root", 0, 0) == f"{folders}/local/node"
    assert host_service.node_of(*USER) == f"{folders}/system/node"


def test_what_only_root_can_run_is_not_there(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "HOST_PATH", f"{folders}/local")
    (folders / "local/docker").symlink_to(program(folders / "root/docker", "echo Docker version 26"))
    assert runtime.read_state("root", 0, 0, *NAMES).programs["docker"]
    state = runtime.read_state(*USER, *NAMES)
    assert (state.node, state.programs["docker"], state.unusable) == (None, False, [])


@pytest.mark.parametrize("text", ["exit 1", "echo 'snap needs a home' >&2; exit 46", "exec /nonexistent/node"])
def test_a_program_first_in_path_that_its_user_cannot_run_is_refused(
    text: str, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "HOST_PATH", f"{folders}/local:{folders}/system")
    broken = program(folders / "local/node", f'[ "$(/usr/bin/id -u)" = 0 ] && echo v24.0.0 && exit\n{text}')
    program(folders / "system/node", "echo v22.0.0")
    assert runtime.read_state("root", 0, 0, *NAMES).unusable == []
    state = runtime.read_state(*USER, *NAMES)
    assert (state.node, state.unusable) == (None, [str(broken)])
    with pytest.raises(UnfitError, match=f"nanoclaw finds {broken} first in its PATH and cannot run it: remove it"):
        missing(replace(DONE, node=None, unusable=[str(broken)]))


def test_an_engine_without_a_client_in_the_path_of_the_service_is_refused() -> None:
    """As snap's, on a release without a package for the client."""
    with pytest.raises(UnfitError, match="/snap/bin"):
        missing(without("docker", candidates=DEBIAN_12))
    assert missing(without("docker", candidates={})) == (), "apt has no lists yet, and may know one"


def package(folders: Path, name: str, version: str) -> None:
    """A pnpm in the PATH that is a link to a program of this package, as npm and corepack make it."""
    (folders / "lib/dist").mkdir(parents=True)
    (folders / "lib/package.json").write_text(json.dumps({"name": name, "version": version}))
    (folders / "local/pnpm").symlink_to(program(folders / "lib/dist/pnpm.js", 'test "$*" = --version && echo 10.33.0'))


@pytest.mark.parametrize(
    ("name", "version", "in_the_way"), [("pnpm", "10.33.0", False), ("corepack", None, True), ("mine", "10.33.0", True)]
)
def test_a_pnpm_of_another_differs_from_npms(
    name: str, version: str | None, in_the_way: bool, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkout, "HOST_PATH", f"{folders}/local")
    monkeypatch.setenv("PATH", f"{folders}/local:/usr/bin:/bin")
    assert (checkout.pnpm_version(), checkout.pnpm_in_the_way()) == (None, False)
    package(folders, name, "10.33.0")
    assert (checkout.pnpm_version(), checkout.pnpm_in_the_way()) == (version, in_the_way)


def test_a_link_to_nothing_is_in_the_way_too(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkout, "HOST_PATH", f"{folders}/local")
    (folders / "local/pnpx").symlink_to("/nonexistent/corepack/dist/pnpx.js")
    assert checkout.pnpm_in_the_way()


def test_root_installs_pnpm_with_the_npm_that_its_user_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkout, "HOST_PATH", "/usr/local/bin:/usr/bin")
    theirs: list[str | None] = ["/usr/bin/node", "/usr/bin/npm"]
    assert checkout.npm_path(["/usr/local/bin/node", "/usr/local/bin/npm"], theirs) == "/usr/bin:/usr/local/bin"
    assert checkout.npm_path(theirs, theirs) is None
    assert checkout.npm_path(theirs, [None, None]) is None


NPM = '#!/bin/sh\necho "$PATH $@" > "$0.asked"\n'


def test_pnpm_takes_the_place_of_corepacks_by_the_users_npm(folders: Path) -> None:
    for folder in ("local", "system"):
        (folders / folder / "npm").write_text(NPM)
        (folders / folder / "npm").chmod(0o755)
    theirs = f"{folders}/system:/usr/bin:/bin"
    argv = request_argv(InstallPnpmRequest("10.33.0", None, force=True, path=theirs))
    subprocess.run(argv, check=True, env={**os.environ, "PATH": f"{folders}/local:{os.environ['PATH']}"}, timeout=60)
    assert not (folders / "local/npm.asked").exists()
    calls = (folders / "system/npm.asked").read_text()
    assert calls.startswith(f"{theirs} install --global --ignore-scripts") and " --force pnpm@10.33.0\n" in calls
