"""The probe of a fake host."""

from __future__ import annotations

from files.pods.probe.protocol import Container, Observations, ProbedMount, Space, Step, Surveyed
from tasks.model.fleet.plan import HostPlan
from tests.fake.bare_host import GIB
from tests.fake.fake import Fake
from tests.fake.stated import binds, guard_unit, root_on_pods, sessions_and_groups


def probe(plan: HostPlan) -> Fake:
    chowns = plan.strategy.name == "chown"
    sessions, groups = sessions_and_groups(plan)
    observed = Observations(
        seconds=2.1,
        missing=[],
        mounts={plan.sessions: ProbedMount(plan.settings.pods_path, "nfs4", str(plan.source), ["rw"])},
        steps=[Step("host", "make a session"), Step("agent", "write outbound.db")],
        relied=["process", "container"],
        id_mapping=False,
        space=Space(20 * GIB, 1_000_000),
        created=[(plan.stored_agent.uid, plan.stored_agent.gid)],
        container=Container("ran", ids=(plan.agent.uid, plan.agent.gid)),
        survey=Surveyed(4, 2, 0, [], []),
    )
    return Fake(
        requests=[
            {
                "agent": [plan.agent.uid, plan.agent.gid],
                "groups": groups,
                "guard": guard_unit(plan),
                "heal": 150,
                "host": [plan.host_ids.uid, plan.host_ids.gid],
                "image": plan.image,
                "mounts": [plan.settings.pods_path] if root_on_pods(plan) else sorted(binds(plan).values()),
                "sessions": sessions,
                "slug": plan.slug,
                "user": None if plan.host_ids.uid in (0, 1000) else str(plan.host_ids),
                "wait": 10 if chowns else 0,
            }
        ],
        underway=observed,
        finished=observed,
    )


OF_HOSTS = {"probe.main": probe}
