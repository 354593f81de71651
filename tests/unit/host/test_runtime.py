"""What a machine lacks before NanoClaw's source, and what is refused."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from files.pods.machine.protocol import AccountState, Node, RuntimeState
from tasks.model.host.account import account_drift, account_problem
from tasks.model.host.runtime import missing_packages, node_problem, nodesource_major
from tasks.model.problem import UnfitError
from tests.builders import local_plan
from tests.fake.bare_host import NO_ACCOUNT
from tests.programs import entry_argv

PROGRAMS = ("git", "docker", "npm", "apt-get", "curl", "logrotate", "mount.nfs", "nft", "chattr", "rsync")
ACCOUNT = AccountState(
    ids=(1000, 1000),
    home="/home/nanoclaw",
    home_exists=True,
    uid_user="nanoclaw",
    gid_group="nanoclaw",
    name_gid=1000,
    docker_group=True,
    in_docker=True,
)
DONE = RuntimeState(
    programs=dict.fromkeys(PROGRAMS, True),
    certificates=True,
    node=Node("/usr/bin/node", 22),
    engine=True,
    docker_io=False,
    docker_runs=True,
    buildx=True,
    npm_package=True,
    candidates={},
    account=ACCOUNT,
)
DEBIAN_13 = {"docker.io": "26.1", "docker-cli": "26.1", "docker-buildx": "0.13", "nodejs": "20.19.2+dfsg-1"}
DEBIAN_12 = {"docker.io": "20.10", "nodejs": "18.20.4+dfsg-1"}


def without(*programs: str, **more: Any) -> RuntimeState:
    return replace(DONE, programs={name: name not in programs for name in PROGRAMS}, **more)


def missing(current: RuntimeState, *, nfs: bool = False, **data: Any) -> tuple[str, ...]:
    return missing_packages(current, local_plan(**data).settings, nfs=nfs)


def test_a_finished_machine_lacks_nothing() -> None:
    assert missing(DONE, nfs=True) == ()
    assert nodesource_major(DONE, local_plan(nanoclaw_node="nodesource").settings) is None
    assert node_problem(DONE, local_plan().settings) is None
    assert not account_drift(ACCOUNT, local_plan())


def test_a_bare_machine() -> None:
    bare = without(*(set(PROGRAMS) - {"apt-get"}), node=None, engine=False, buildx=False, candidates=DEBIAN_13)
    assert set(missing(bare)) == {"git", "logrotate", "docker.io", "docker-cli", "docker-buildx", "nodejs", "npm"}
    assert "docker-buildx" not in missing(
        bare, nanoclaw_image="load", nanoclaw_image_archive="/a", nanoclaw_image_name="a"
    )
    assert "nfs-common" in missing(bare, nfs=True)
    with pytest.raises(UnfitError, match="no apt-get"):
        missing(without(*PROGRAMS, node=None))


def test_packages_that_a_release_lacks_are_not_installed() -> None:
    current = without("docker", engine=False, buildx=False, candidates=DEBIAN_12)
    assert missing(current) == ("docker.io",)


def test_another_packaging_of_docker_is_kept() -> None:
    assert missing(replace(DONE, buildx=False, docker_io=False, candidates=DEBIAN_13)) == ()
    assert missing(replace(DONE, buildx=False, docker_io=True, candidates=DEBIAN_13)) == ("docker-buildx",)


def test_nodesources_node_brings_npm() -> None:
    current = without("npm", node=None, candidates={"nodejs": "22.11.0-1nodesource1"})
    assert missing(current) == ("nodejs",)


@pytest.mark.parametrize(
    ("current", "data", "word"),
    [
        (without("npm", node=None, candidates=DEBIAN_12), {}, '"nodesource"'),
        (replace(DONE, node=Node("/usr/bin/node", 18)), {}, '"nodesource"'),
        (replace(DONE, node=Node("/usr/bin/node", 26)), {"nanoclaw_node": "nodesource"}, "remove it"),
        (replace(DONE, node=Node("/usr/local/bin/node", 18)), {"nanoclaw_node": "nodesource"}, "/usr/local/bin/node"),
        (replace(DONE, node=None), {"nanoclaw_node": "machine"}, "install one"),
        (without("npm"), {"nanoclaw_node": "machine"}, "npm"),
        (without("npm", node=Node("/usr/local/bin/node", 22)), {}, "npm"),
    ],
)
def test_a_node_that_cannot_be_helped_is_refused(current: RuntimeState, data: dict[str, Any], word: str) -> None:
    with pytest.raises(UnfitError, match=word):
        missing(current, **data)


@given(st.integers(20, 30), st.integers(0, 10), st.none() | st.integers(10, 40))
def test_nodesource_installs_what_is_then_accepted(low: int, more: int, there: int | None) -> None:
    node = Node("/usr/bin/node", there) if there is not None else None
    current = replace(DONE, node=node)
    settings = local_plan(nanoclaw_node="nodesource", nanoclaw_node_versions=(low, low + more)).settings
    major = nodesource_major(current, settings)
    if major is not None:
        assert node_problem(replace(current, node=Node("/usr/bin/node", major)), settings) is None
        assert missing_packages(current, settings, nfs=False) == ()


@pytest.mark.parametrize(
    ("current", "reason"),
    [
        (replace(ACCOUNT, ids=(1001, 1001)), "user-has-other-ids"),
        (replace(ACCOUNT, ids=(1000, 100)), "user-has-other-ids"),
        (replace(NO_ACCOUNT, uid_user="debian"), "uid-of-other-user"),
        (replace(NO_ACCOUNT, name_gid=999), "group-has-other-gid"),
    ],
)
def test_an_account_that_is_another_is_refused(current: AccountState, reason: str) -> None:
    problem = account_problem(current, local_plan())
    assert problem and (problem.key, problem.reason) == ("nanoclaw_user", reason)


def test_accounts_that_are_made_or_left() -> None:
    assert account_problem(NO_ACCOUNT, local_plan()) is None
    assert account_drift(NO_ACCOUNT, local_plan())
    assert account_problem(replace(NO_ACCOUNT, gid_group="staff", name_gid=50), local_plan()) is None
    assert account_drift(replace(ACCOUNT, in_docker=False), local_plan())
    root = local_plan(nanoclaw_user="root")
    assert not account_drift(replace(NO_ACCOUNT, ids=(0, 0)), root)
    assert account_problem(replace(NO_ACCOUNT, ids=(0, 0), uid_user="root"), root) is None


def test_the_program_says_all_of_it() -> None:
    request = json.dumps(
        {"user": "no-such-user", "uid": 54321, "gid": 54321, "engine": "e", "npm": "n", "candidates": []}
    )
    argv = [*entry_argv("machine.runtime"), request]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True)
    current = TypeAdapter(RuntimeState).validate_python(json.loads(done.stdout))
    assert set(current.programs) == set(PROGRAMS)
    assert (current.account.ids, current.account.uid_user) == (None, None)
