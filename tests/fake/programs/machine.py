"""The programs and packages of a fake host."""

from __future__ import annotations

from files.pods.machine.protocol import AccountState, Node, RuntimeState
from files.pods.machine.runtime import PROGRAMS
from tasks.model.fleet.plan import HostPlan
from tasks.model.host import service_unit
from tests.fake.bare_host import NO_ACCOUNT, THERE_ANYWAY
from tests.fake.fake import Fake
from tests.fake.stated import host_user


def runtime(plan: HostPlan) -> Fake:
    candidates = ["docker.io", "docker-cli", "docker-buildx", "nodejs"]
    return Fake(
        requests=[{**host_user(plan), "engine": "docker.io", "npm": "npm", "candidates": candidates}],
        bare=RuntimeState(
            programs={name: name in THERE_ANYWAY for name in PROGRAMS},
            certificates=False,
            node=None,
            engine=False,
            docker_io=False,
            docker_runs=False,
            buildx=False,
            npm_package=False,
            candidates={"nodejs": "20.19.2+dfsg-1", "docker-cli": "26.1.5", "docker-buildx": "0.13.1"},
            account=NO_ACCOUNT,
        ),
        finished=RuntimeState(
            programs=dict.fromkeys(PROGRAMS, True),
            certificates=True,
            node=Node("/usr/bin/node", 20),
            engine=True,
            docker_io=True,
            docker_runs=True,
            buildx=True,
            npm_package=True,
            candidates={},
            account=account_of(plan),
        ),
    )


def account_of(plan: HostPlan) -> AccountState:
    """Return the account of the host user of a finished host."""
    ids, name = (plan.host_ids.uid, plan.host_ids.gid), plan.settings.nanoclaw_user
    return AccountState(ids, service_unit.expected_account(plan).home, True, name, name, ids[1], True, True)


OF_HOSTS = {"machine.runtime": runtime}
