"""Which Node and which packages a machine gets, and what it is refused for, to the letter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from files.pods.machine.protocol import Node, RuntimeState
from tasks.model.host.account import account_drift
from tasks.model.host.runtime import node_problem, nodesource_major
from tasks.model.problem import UnfitError
from tests.builders import local_plan
from tests.unit.host.test_runtime import ACCOUNT, DEBIAN_12, DEBIAN_13, DONE, PROGRAMS, missing, without

NODE = "/usr/bin/node"


@pytest.mark.parametrize(
    ("versions", "there", "major"),
    [
        ((20, 24), None, 22),
        ((22, 22), None, 22),
        ((22, 30), 18, 22),
        ((20, 22), 19, 22),
        ((20, 21), None, 20),
        ((23, 26), None, 26),
        ((23, 27), None, 26),
        ((23, 23), None, 23),
        ((20, 24), 20, None),
        ((20, 24), 26, None),
        ((24, 26), 22, 26),
    ],
)
def test_nodesource_brings_22_or_the_last_even_version(
    versions: tuple[int, int], there: int | None, major: int | None
) -> None:
    current = replace(DONE, node=Node(NODE, there) if there else None)
    assert (
        nodesource_major(current, local_plan(nanoclaw_node="nodesource", nanoclaw_node_versions=versions).settings)
        == major
    )
    for other in ("distribution", "machine"):
        assert nodesource_major(current, local_plan(nanoclaw_node=other).settings) is None


@pytest.mark.parametrize(
    ("current", "text"),
    [
        (DONE, None),
        (replace(DONE, node=Node(NODE, 20)), None),
        (replace(DONE, node=Node(NODE, 24)), None),
        (
            replace(DONE, node=None),
            "this machine has no Node; install one (nanoclaw_node_versions accepts 20 to 24), or set nanoclaw_node to "
            '"nodesource"',
        ),
        *(
            (
                replace(DONE, node=Node(NODE, major)),
                f"{NODE} is Node {major}, and nanoclaw_node_versions accepts 20 to 24; remove it or put another in its "
                'place, set nanoclaw_node to "nodesource", or widen nanoclaw_node_versions',
            )
            for major in (19, 25)
        ),
        (without("npm"), f"{NODE} has no npm beside it, and npm installs pnpm; install npm"),
    ],
)
def test_a_node_that_is_not_accepted_is_named_with_the_ways_out(current: RuntimeState, text: str | None) -> None:
    assert node_problem(current, local_plan(nanoclaw_node_versions=(20, 24)).settings) == text


BARE = without(*(set(PROGRAMS) - {"apt-get"}), node=None, engine=False, buildx=False, certificates=False)
LOAD = {"nanoclaw_image": "load", "nanoclaw_image_archive": "/srv/a.tar", "nanoclaw_image_name": "a:1"}


@pytest.mark.parametrize(
    ("current", "data", "packages"),
    [
        (DONE, {}, ""),
        (
            replace(BARE, candidates=DEBIAN_13),
            {},
            "git logrotate ca-certificates docker.io docker-cli docker-buildx nodejs npm",
        ),
        (
            replace(BARE, candidates={**DEBIAN_12, "nodejs": "1:20.1"}),
            {},
            "git logrotate ca-certificates docker.io nodejs npm",
        ),
        (
            replace(BARE, candidates=DEBIAN_13),
            {**LOAD, "nanoclaw_node": "nodesource"},
            "git logrotate ca-certificates docker.io docker-cli",
        ),
        (
            replace(BARE, candidates={**DEBIAN_13, "nodejs": "22.1-1nodesource1"}),
            LOAD,
            "git logrotate ca-certificates docker.io docker-cli nodejs",
        ),
        (without("docker", candidates=DEBIAN_13), {}, "docker-cli"),
        (replace(DONE, buildx=False, docker_io=True, candidates=DEBIAN_13), {}, "docker-buildx"),
        (replace(DONE, buildx=False, docker_io=True, candidates=DEBIAN_13), LOAD, ""),
        (replace(DONE, buildx=False, docker_io=True, candidates={}), {}, ""),
        (without("npm"), {}, "npm"),
        (replace(DONE, node=Node(NODE, 18)), {"nanoclaw_node": "nodesource"}, ""),
        (replace(DONE, node=None, candidates={}), {}, "nodejs npm"),
    ],
)
def test_exactly_the_packages_that_a_machine_lacks_are_installed(
    current: RuntimeState, data: dict[str, Any], packages: str
) -> None:
    assert missing(current, **data) == tuple(packages.split())


@pytest.mark.parametrize(
    ("current", "data", "text"),
    [
        (
            replace(without("git"), programs={**without("git", "apt-get").programs}),
            {},
            "this machine has no apt-get; install git on it, then run again",
        ),
        (
            replace(DONE, node=None, candidates=DEBIAN_12),
            {},
            "the distribution's Node is 18.20.4+dfsg-1, and nanoclaw_node_versions accepts 20 to 24; set nanoclaw_node "
            'to "nodesource", or install another and set it to "machine"',
        ),
        (
            replace(DONE, node=None, candidates={"nodejs": "1:25.0-1"}),
            {},
            "the distribution's Node is 1:25.0-1, and nanoclaw_node_versions accepts 20 to 24; set nanoclaw_node to "
            '"nodesource", or install another and set it to "machine"',
        ),
        (
            without("npm"),
            {"nanoclaw_node": "machine"},
            f"{NODE} has no npm beside it, and npm installs pnpm; install npm",
        ),
        (
            without("npm", node=Node("/usr/local/bin/node", 22)),
            {},
            "/usr/local/bin/node has no npm beside it, and npm installs pnpm; install npm",
        ),
        (
            replace(DONE, node=Node("/usr/local/bin/node", 18)),
            {"nanoclaw_node": "nodesource"},
            "/usr/local/bin/node is Node 18, and nanoclaw_node_versions accepts 20 to 24; remove it or put another in "
            'its place, set nanoclaw_node to "nodesource", or widen nanoclaw_node_versions',
        ),
    ],
)
def test_a_machine_that_cannot_be_fitted_out_is_refused(current: RuntimeState, data: dict[str, Any], text: str) -> None:
    with pytest.raises(UnfitError) as raised:
        missing(current, nanoclaw_node_versions=(20, 24), **data)
    assert str(raised.value) == text


@pytest.mark.parametrize(
    ("program", "package"),
    [("mount.nfs", "nfs-common"), ("nft", "nftables"), ("chattr", "e2fsprogs"), ("rsync", "rsync")],
)
def test_what_only_some_hosts_need_is_installed_there_alone(program: str, package: str) -> None:
    current, v1 = without(program), "/home/andy/nanoclaw"
    assert missing(current) == ()
    assert missing(current, nfs=True, nanoclaw_v1_dir=v1) == (package,)
    assert missing(current, nfs=True) == (() if program == "rsync" else (package,))
    assert missing(current, nanoclaw_v1_dir=v1) == ((package,) if program == "rsync" else ())


@pytest.mark.parametrize("candidates", [{}, {"docker-cli": "26.1"}, {"docker.io": "20.10"}])
def test_an_engine_without_a_client_is_refused_where_no_package_brings_one(candidates: dict[str, str]) -> None:
    current = without("docker", candidates=candidates)
    if candidates.get("docker.io"):
        with pytest.raises(UnfitError) as raised:
            missing(current)
        assert str(raised.value) == (
            "this machine has a Docker engine, but the host user finds no docker command in its PATH (snap's is in "
            "/snap/bin, where NanoClaw's service does not look): install Docker's packages, or "
            "link /usr/local/bin/docker to it"
        )
    else:
        assert missing(current) == tuple(candidates)
    assert missing(replace(current, docker_io=True)) == tuple(name for name in candidates if name == "docker-cli")


def test_a_program_that_the_host_user_cannot_run_is_named() -> None:
    with pytest.raises(UnfitError) as raised:
        missing(replace(DONE, unusable=["/usr/local/bin/node", "/usr/local/bin/npm"]))
    assert str(raised.value) == (
        "nanoclaw finds /usr/local/bin/node, /usr/local/bin/npm first in its PATH and cannot run it: remove it, or "
        "put one in its place that other users than root can run (runuser -u nanoclaw -- /usr/local/bin/node --version)"
    )


@pytest.mark.parametrize(
    ("differs", "drift"),
    [({}, False), ({"ids": None}, True), ({"home_exists": False}, True), ({"in_docker": False}, True)],
)
def test_a_host_user_lacks_an_account_a_home_or_a_group(differs: dict[str, Any], drift: bool) -> None:
    account = replace(ACCOUNT, **differs)
    assert account_drift(account, local_plan()) is drift
    assert account_drift(account, local_plan(nanoclaw_user="root", pods_access="chown")) is False
