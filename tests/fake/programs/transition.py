"""What a fake host keeps of migrations and of changes of version: it never had one."""

from __future__ import annotations

from files.pods.transition.protocol import Progress
from tasks.model.fleet.plan import HostPlan
from tests.fake.fake import Fake
from tests.fake.stated import state_path


def transition_state(plan: HostPlan) -> Fake:
    return Fake(
        requests=[
            {
                "directory": f"{state_path(plan)}.migration",
                "marker": f"/etc/nanoclaw-pods/nanoclaw-v2-{plan.slug}.migrated",
                "root": plan.root,
                "service": f"nanoclaw-pods-migration-{plan.slug}.service",
            },
            {
                "directory": f"{state_path(plan)}.transition",
                "marker": f"{state_path(plan)}.transition/committed",
                "root": plan.root,
                "service": f"nanoclaw-pods-transition-{plan.slug}.service",
            },
        ],
        bare=Progress(None, under_way=False, decided=False, recorded=False, v2_has_state=False),
        finished=Progress(None, under_way=False, decided=False, recorded=False, v2_has_state=True),
    )


OF_HOSTS = {"transition.state": transition_state}
