"""Ids that do not agree: named, and refused with the way out."""

from __future__ import annotations

from tests.e2e.fleet import Fleet


def test_an_image_with_another_user_than_planned(fleet: Fleet) -> None:
    """The image is read: what its USER is counts, not what the settings believe."""
    plan = fleet.host("host-1000")
    host = fleet.lab["host-1000"]
    host.succeed(
        f"docker tag {plan.image} kept && printf 'FROM kept\\nUSER 1001:1001\\n' | docker build -q -t {plan.image} -"
    )
    try:
        run = fleet.run("-y", "--limit", "host-1000")
        assert run.exit != 0
        assert f"{plan.image} runs as 1001:1001, and the plan counts on 1000:1000" in run.log
        assert "set nanoclaw_image_uid to 1001 and nanoclaw_image_gid to 1001" in run.log
    finally:
        host.succeed(f"docker tag kept {plan.image} && docker rmi kept")
    fleet.deploy("--limit", "host-1000")


def test_agents_that_differ_on_one_export(fleet: Fleet) -> None:
    """One export serves one agent: refused before any machine is asked."""
    data = {name: dict(settings) for name, settings in fleet.data.items()}
    for name in ("host-1000", "host-1500"):
        data[name] |= {"pods_export": "/srv/pods/shared", "nanoclaw_root": f"/pods/{name}"}
    run = Fleet(fleet.lab, data, fleet.folder).run("-y")
    assert run.exit != 0
    assert "nothing was changed, because:" in run.log
    assert "Connecting to hosts" not in run.log
    for name, agent in (("host-1000", "1000:1000"), ("host-1500", "1500:1500")):
        assert f"{name}: pods_export: /srv/pods/shared would hold sessions of agent {agent}, " in run.log
