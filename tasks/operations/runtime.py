"""Docker, git, Node and the host user; server.user would change an account that is there already."""

from pyinfra import host, state
from pyinfra.api.exceptions import OperationError

from files.pods.machine.protocol import AccountState, RuntimeState, TrustKeyRequest
from tasks.command import argv, run_request, write_file
from tasks.model.fleet.plan import HostPlan
from tasks.model.host.account import account_drift, account_problem
from tasks.model.host.runtime import (
    NODESOURCE,
    NODESOURCE_KEY,
    missing_packages,
    node_problem,
    nodesource_major,
    runtime_request,
)
from tasks.model.platform.platform import DEBIAN_13
from tasks.operations.base import Commands, lasting_operation, read_state
from tasks.operations.packages import apt_install, apt_update

_KEY = "/etc/apt/keyrings/nanoclaw-pods-nodesource.asc"
_SOURCE = "/etc/apt/sources.list.d/nanoclaw-pods-nodesource.sources"


def _missing(current: RuntimeState, plan: HostPlan) -> tuple[str, ...]:
    return missing_packages(current, plan.settings, nfs=plan.source is not None)


@lasting_operation
def runtime(plan: HostPlan) -> Commands:
    """Install what is missing of Docker, git, Node and the NFS client, start Docker, and make the host user.

    Owns: that they are there; for nanoclaw_node "nodesource" that source of packages; a host user that it makes
    (the plan's uid and gid, a home, no password) and its membership of the group docker.
    Leaves alone: a Docker of any packaging and a Node of an accepted version that are there, and every version;
    every account that is there; root.
    Changes: when a program, the user, its home directory or the membership is missing, or Docker does not run.
    Errors: a Node that is not accepted and may not be replaced, before anything is installed where apt's lists say
    so; one that is not accepted after installation; the user's name with other ids, or the ids with another name.
    """
    current = read_state(RuntimeState, runtime_request(plan))
    if refusal := account_problem(current.account, plan):
        raise OperationError(refusal.text)
    packages, major = _missing(current, plan), nodesource_major(current, plan.settings)
    if not packages and major is None and current.docker_runs and not account_drift(current.account, plan):
        host.noop("Docker, git, Node and the host user exist")
        return
    if packages or major is not None:
        yield apt_update()
        packages = _missing(read_state(RuntimeState, runtime_request(plan)), plan)  # apt knows its packages only now
        if packages:
            yield apt_install(*packages)
        if major is not None:
            yield from _nodesource(major, current)
        current = read_state(RuntimeState, runtime_request(plan))
        if problem := node_problem(current, plan.settings):
            raise OperationError(problem)
        if state.is_executing and (missing := _missing(current, plan)):
            raise OperationError(
                f"still missing after apt-get installed it: {', '.join(missing)}. Something on the machine hides or "
                "removes it (PATH, dpkg-divert(1), /etc/dpkg/dpkg.cfg.d). Remove that, then run again."
            )
    if not current.docker_runs:
        yield argv("systemctl", "enable", "--now", DEBIAN_13.docker_unit)
    if account_drift(current.account, plan):
        yield from _account(current.account, plan)


def _nodesource(major: int, current: RuntimeState) -> Commands:
    """NodeSource's Node contains npm and takes the place of the distribution's npm package."""
    if not current.programs["curl"]:
        yield apt_install("curl")
    yield argv("mkdir", "-p", "/etc/apt/keyrings")
    fetch = ("--fail", "--silent", "--show-error", "--location", "--proto", "=https", "--max-time", "120")
    yield argv("curl", *fetch, "--output", f"{_KEY}.new", f"{NODESOURCE}/gpgkey/nodesource-repo.gpg.key")
    yield run_request(TrustKeyRequest(f"{_KEY}.new", _KEY, NODESOURCE_KEY))
    lines = ("Types: deb", f"URIs: {NODESOURCE}/node_{major}.x", "Suites: nodistro", "Components: main")
    yield write_file(_SOURCE, "\n".join((*lines, f"Signed-By: {_KEY}", "")))
    yield apt_update()
    yield apt_install(DEBIAN_13.node, *([f"{DEBIAN_13.npm}-"] if current.npm_package else []))


def _account(current: AccountState, plan: HostPlan) -> Commands:
    name, ids = plan.settings.nanoclaw_user, plan.host_ids
    if not current.ids:
        if current.gid_group is None:
            yield argv("groupadd", "--gid", str(ids.gid), name)
        numbers = ("--uid", str(ids.uid), "--gid", str(ids.gid))
        yield argv("useradd", *numbers, "--create-home", "--shell", "/bin/bash", "--comment", "NanoClaw", name)
    elif not current.home_exists and current.home:
        yield argv("install", "-d", "-m", "0750", "-o", str(ids.uid), "-g", str(ids.gid), current.home)
    if not current.docker_group:
        yield argv("groupadd", "--system", "docker")
    if not current.in_docker:
        yield argv("gpasswd", "--add", name, "docker")
