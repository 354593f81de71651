"""The checkout of a fake host."""

from __future__ import annotations

from dataclasses import replace

from files.pods.source.protocol import CheckoutState
from tasks.model.fleet.plan import HostPlan
from tests.fake.bare_host import PNPM
from tests.fake.fake import Fake
from tests.fake.stated import host_user, onecli, root_on_pods

COMMIT, _LOCK, _PACKAGE = "c0" * 20, "10" * 32, "9a" * 32


def checkout(plan: HostPlan) -> Fake:
    request = {
        **host_user(plan),
        "root": plan.root,
        "repository": plan.settings.nanoclaw_repository,
        "ref": plan.settings.nanoclaw_ref,
        "onecli": onecli(plan),
        "decides_owner": bool(root_on_pods(plan)) and (plan.squash is None or plan.squash.maps == "none"),
    }
    pin = {"commit": COMMIT, "lock": _LOCK, "package": _PACKAGE, "node": "20"}
    bare = CheckoutState(
        git=False,
        link=False,
        owners={},
        foreign=[],
        remote=None,
        commit=None,
        desired=None,
        unresolved=None,
        changed=[],
        pnpm_pin=None,
        pnpm_digest=None,
        pnpm=None,
        tools_missing=True,
        built=None,
        source=dict.fromkeys(("commit", "lock", "package", "node")),
        outputs=False,
    )
    return Fake(
        requests=[{**request, "peek": peek} for peek in (False, True)],
        bare=bare,
        underway=replace(bare, git=True, pnpm_pin=PNPM),
        finished=CheckoutState(
            git=True,
            link=False,
            owners={},
            foreign=[],
            remote=plan.settings.nanoclaw_repository,
            commit=COMMIT,
            desired=COMMIT,
            unresolved=None,
            changed=[],
            pnpm_pin=PNPM,
            pnpm_digest=None,
            pnpm=PNPM,
            tools_missing=False,
            built={**pin, "finished": 1.0},
            source=dict(pin),
            outputs=True,
        ),
    )


OF_HOSTS = {"source.checkout": checkout}
