"""Ids that differ are refused, with both ids and the way out."""

from __future__ import annotations

from tests.e2e.fleet import Fleet
from tests.e2e.sample import sampled


@sampled(120)
def test_image_with_an_unplanned_user_is_refused(fleet: Fleet) -> None:
    """The USER of the image counts, not the settings."""
    plan = fleet.host("host-1000")
    host = fleet.lab["host-1000"]
    host.succeed(
        f"docker tag {plan.image} kept && printf 'FROM kept\\nUSER 1001:1001\\n' | docker build -q -t {plan.image} -"
    )
    try:
        run = fleet.run("-y", "--limit", "host-1000")
        assert run.exit != 0
        assert f"{plan.image} runs as 1001:1001, and the plan expects 1000:1000" in run.log
        assert "set nanoclaw_image_uid to 1001 and nanoclaw_image_gid to 1001" in run.log
    finally:
        host.succeed(f"docker tag kept {plan.image} && docker rmi kept")
    fleet.deploy("--limit", "host-1000")


@sampled(10)
def test_different_agents_on_one_export_are_refused(fleet: Fleet) -> None:
    """One export serves one agent. The run ends before it connects to a machine."""
    data = {name: dict(settings) for name, settings in fleet.data.items()}
    for name in ("host-1000", "host-1500"):
        data[name] |= {"pods_export": "/srv/pods/shared", "nanoclaw_root": f"/pods/{name}"}
    run = Fleet(fleet.lab, data, fleet.folder).run("-y")
    assert run.exit != 0
    assert "nothing was changed, because:" in run.log
    assert "Connecting to hosts" not in run.log
    for name, agent in (("host-1000", "1000:1000"), ("host-1500", "1500:1500")):
        assert f"{name}: pods_export: /srv/pods/shared would hold sessions of agent {agent}, " in run.log


@sampled(500)
def test_cloud_image_gets_a_host_user_with_a_free_uid(fleet: Fleet) -> None:
    """Uid 1000 is the image's own login user. With default settings the host user gets free ids and keeps them."""
    name = "host-1500"
    data = {machine: dict(settings) for machine, settings in fleet.data.items() if machine in ("server", name)}
    del data[name]["nanoclaw_uid"]
    data[name]["pods_export"] = "/srv/pods/stock"
    stock = Fleet(fleet.lab, data, fleet.folder)
    fleet.lab.reset(name)
    fleet.lab[name].succeed(
        "useradd --uid 1000 --create-home --shell /bin/bash debian && echo debian:a-word | chpasswd"
    )
    try:
        choice = f"nanoclaw_uid 850 and nanoclaw_gid 850 for {name}: "
        alone = stock.run("-y", "--limit", name)
        assert alone.exit != 0 and f"{name}: nanoclaw_uid: its user gets uid 850 here" in alone.log
        assert f"{choice}uid 1000 is debian's on {name}" in stock.dry_run().log
        first = stock.deploy()
        assert f"{choice}uid 1000 is debian's on {name}" in first.log
        assert stock.send_message(name, "a stock image") == "echo: a stock image"
        assert fleet.lab[name].succeed("id -u nanoclaw; id -g nanoclaw").split() == ["850", "850"]
        owners = "find /srv/pods/stock/v2-sessions -mindepth 1 -printf '%U:%G\\n' | sort -u"
        assert fleet.lab["server"].succeed(owners).split() == ["850:850"]
        again = stock.deploy()
        assert (again.changed, f"{choice}the existing account nanoclaw has them" in again.log) == (set(), True)
        assert stock.deploy("--limit", name).changed == set()
        assert stock.deploy("--limit", "server").changed == set()
    finally:
        fleet.lab.reset(name)
        fleet.deploy()
