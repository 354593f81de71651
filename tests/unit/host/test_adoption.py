"""A NanoClaw v2 that its own setup installed is adopted where that can be done, else refused with the way to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from files.pods.service import v2_installs
from files.pods.service.protocol import AdoptUnitsRequest, Installed, Installs, InstallsRequest, Service
from tasks.model.host.adoption import adoption_problems
from tasks.model.host.service_unit import dropin_path, image_record, name_of
from tests.builders import local_plan
from tests.programs import machine_argv
from tests.unit.service.managers import NODE, SERVES, Managed, needs_managers

ANDY, HOST, EVE = 2001, 1000, 2002
HOST_PLAN = local_plan()
SYSTEM = Service("system", HOST_PLAN.unit, f"/etc/systemd/system/{HOST_PLAN.unit}", 0, "active")
OWN = Service("user", HOST_PLAN.unit, f"/home/nanoclaw/.config/systemd/user/{HOST_PLAN.unit}", HOST, "active")
PACKAGE = '{"name": "nanoclaw", "version": "2.0.64"}'


def problems(*installs: Installed, of: Any = HOST_PLAN) -> list[str]:
    return list(adoption_problems(Installs(list(installs)), of))


def test_what_the_role_runs_and_what_it_can_take_over_is_no_problem() -> None:
    root = local_plan(nanoclaw_user="root", nanoclaw_root="/root/nanoclaw")
    of_root = Service("system", root.unit, "/etc/systemd/system/x", 0, "active")
    assert problems() == []
    assert problems(Installed(HOST_PLAN.root, HOST, "nanoclaw", True, [SYSTEM], [])) == []
    assert problems(Installed(HOST_PLAN.root, HOST, "nanoclaw", False, [OWN], [])) == []
    assert problems(Installed("/root/nanoclaw", 0, "root", False, [of_root], []), of=root) == []
    assert problems(Installed("/home/andy/nanoclaw", ANDY, "andy", False, [], [])) == [], "it does not run"


@pytest.mark.parametrize(
    ("one", "parts"),
    [
        (
            Installed("/root/nanoclaw", 0, "root", False, [SYSTEM], []),
            ["runs in /root/nanoclaw already", "set nanoclaw_root to /root/nanoclaw and nanoclaw_user to root"],
        ),
        (
            Installed(
                "/home/andy/nanoclaw", ANDY, "andy", False, [Service("user", "x.service", "/x", ANDY, "active")], []
            ),
            [
                "set nanoclaw_root to /home/andy/nanoclaw and nanoclaw_user to andy (nanoclaw_uid 2001)",
                "systemctl --user --machine=2001@ disable --now x.service",
            ],
        ),
        (Installed("/srv/claw", 0, "root", False, [], [42]), ["(process 42)", "stop process 42"]),
        (
            Installed(HOST_PLAN.root, 0, "root", False, [SYSTEM], []),
            ["as uid 0, and the role would run it as uid 1000", "to adopt it, set nanoclaw_user to root"],
        ),
        (  # on pods of a server that maps root, or that agents own
            Installed(HOST_PLAN.root, HOST, "nanoclaw", False, [SYSTEM], []),
            ["as uid 0, and the role would run it as uid 1000", "to adopt it, set nanoclaw_user to root;"],
        ),
        (
            Installed(HOST_PLAN.root, 0, "root", False, [Service("user", "x.service", "/x", ANDY, "active")], []),
            ["as uid 2001", "set nanoclaw_user to its user (nanoclaw_uid 2001)"],
        ),
        (
            Installed(HOST_PLAN.root, ANDY, "andy", False, [Service("user", "x.service", "/x", ANDY, "active")], []),
            ["as uid 2001", "set nanoclaw_user to andy (nanoclaw_uid 2001)"],
        ),
        (
            Installed(
                HOST_PLAN.root, HOST, "nanoclaw", False, [Service("user", "x.service", "/x", HOST, "no manager")], []
            ),
            ["does not run", "loginctl enable-linger 1000"],
        ),
        (
            Installed(
                HOST_PLAN.root, HOST, "nanoclaw", False, [Service("system", "x.service", "/x", HOST, "active")], []
            ),
            [f"/x runs {HOST_PLAN.root}", "systemctl disable --now x.service"],
        ),
        (
            Installed(HOST_PLAN.root, HOST, "nanoclaw", False, [], [42]),
            ["process 42", "start-nanoclaw.sh", "adopts it"],
        ),
    ],
)
def test_what_cannot_be_taken_over_as_it_is_is_refused_with_the_way_to_adopt_it(
    one: Installed, parts: list[str]
) -> None:
    (text,) = problems(one)
    assert all(word in text for word in parts), text


def claw(root: str) -> dict[str, str]:
    return {f"{root}/package.json": PACKAGE, f"{root}/dist/index.js": SERVES, f"{root}/data/v2.db": ""}


def unit(root: str) -> str:
    lines = ["[Service]", f"WorkingDirectory={root}", f"ExecStart={NODE} {root}/dist/index.js"]
    return "\n".join([*lines, "[Install]", "WantedBy=default.target", ""])


READ = """
import json, subprocess
done = subprocess.run(ARGV, capture_output=True, text=True, timeout=50)
assert done.returncode == 0, done.stderr
answer = json.loads(done.stdout.splitlines()[-1])["installs"]
"""


@needs_managers
def test_every_v2_of_the_machine_is_reported_and_a_strangers_is_not(tmp_path: Path) -> None:
    roots = ("/root/nanoclaw", "/home/andy/nanoclaw", "/home/host/nanoclaw", "/srv/loose", "/home/eve/nanoclaw")
    files = {path: text for root in (*roots, "/srv/off") for path, text in claw(root).items()}
    user = ".config/systemd/user/nanoclaw-v2-x.service"
    files["/etc/systemd/system/nanoclaw-v2-r.service"] = unit(roots[0])
    files["/etc/systemd/system/off.service"] = unit("/srv/off")
    for name in ("andy", "host", "eve"):
        files[f"/home/{name}/{user}"] = unit("%h/nanoclaw")
    users = {"andy": (ANDY, "/home/andy"), "host": (HOST, "/home/host"), "eve": (EVE, "/home/eve")}
    machine = Managed(files, users=users, running=(ANDY, EVE))
    machine.owners = {home: uid for uid, home in users.values()}
    wants = "/home/host/.config/systemd/user/default.target.wants/nanoclaw-v2-x.service"
    machine.links = {wants: "../nanoclaw-v2-x.service"}
    machine.first = (
        "echo docker:x:999:andy >>/etc/group",
        "systemctl enable --now nanoclaw-v2-r",
        f"setpriv --reuid={ANDY} env XDG_RUNTIME_DIR=/run/user/{ANDY} systemctl --user start nanoclaw-v2-x",
        f"setpriv --reuid={EVE} env XDG_RUNTIME_DIR=/run/user/{EVE} systemctl --user start nanoclaw-v2-x",
        f"cd /srv/loose; setsid {NODE} -I dist/index.js </dev/null >/dev/null 2>&1 & sleep 1",
    )
    argv = machine_argv("service.v2_installs", InstallsRequest("/opt/nanoclaw", HOST).document())
    reply = machine.ask(f"ARGV = {argv!r}\n{READ}", tmp_path)
    live = {one["root"]: one for one in reply if one["units"] or one["loose"]}
    assert {
        root: [(one["manager"], one["uid"], one["active"]) for one in it["units"]] for root, it in live.items()
    } == {
        roots[0]: [("system", 0, "active")],
        roots[1]: [("user", ANDY, "active")],
        roots[2]: [("user", HOST, "no manager")],
        roots[3]: [],
    }
    assert [it["user"] for it in live.values()] == ["andy", "host", "root", "root"]
    assert len(live["/srv/loose"]["loose"]) == 1 and not live[roots[1]]["loose"]


ADOPT = """
import json, subprocess
from files.pods.service.state import rivals
def run(argv):
    return subprocess.run(argv, capture_output=True, text=True, timeout=50)
before = list(map(vars, rivals("nanoclaw-v2-x.service", ROOT)))
done = run(ARGV)
answer = [before, done.returncode, done.stderr, rivals("nanoclaw-v2-x.service", ROOT)]
"""


@needs_managers
def test_a_service_of_the_host_users_own_is_a_rival_until_it_is_adopted(tmp_path: Path) -> None:
    root, name = "/home/andy/nanoclaw", "nanoclaw-v2-x.service"
    file = f"/home/andy/.config/systemd/user/{name}"
    machine = Managed({**claw(root), file: unit(root)}, users={"andy": (ANDY, "/home/andy")}, running=(ANDY,))
    machine.files["/etc/systemd/system/" + name] = unit(root)
    machine.owners = {"/home/andy": ANDY}
    enable = f"setpriv --reuid={ANDY} env XDG_RUNTIME_DIR=/run/user/{ANDY} HOME=/home/andy systemctl --user"
    machine.first = (f"{enable} enable --now {name}",)
    argv = machine_argv("service.adopt_units", AdoptUnitsRequest(ANDY, [name]).document())
    code = f"ROOT, ARGV = {root!r}, {argv!r}\n{ADOPT}"
    before, status, text, after = machine.ask(code, tmp_path)
    assert before == [{"kind": "user unit", "name": file, "detail": str(ANDY)}]
    assert (status, after) == (0, []), text


@needs_managers
def test_one_that_cannot_be_disabled_is_an_error(tmp_path: Path) -> None:
    argv = machine_argv("service.adopt_units", AdoptUnitsRequest(ANDY, ["none.service"]).document())
    machine = Managed(users={"andy": (ANDY, "/home/andy")}, running=(ANDY,))
    _, status, text, _ = machine.ask(f"ROOT, ARGV = '/srv', {argv!r}\n{ADOPT}", tmp_path)
    assert status == 1 and "systemctl disable none.service (user)" in text and "Traceback" not in text


def test_a_service_is_the_roles_while_one_trace_of_the_role_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traces = [f"{tmp_path}/{{}}.dropin", f"{tmp_path}/{{}}.image.json"]
    monkeypatch.setattr(v2_installs, "TRACES", traces)
    services = [{"manager": "user", "name": "other.service"}, {"manager": "system", "name": "nanoclaw-v2-x.service"}]
    assert not v2_installs.is_ours(services)
    for trace in traces:
        for name, ours in (("nanoclaw-v2-x", True), ("other", False)):
            file = Path(trace.format(name))
            file.touch()
            assert v2_installs.is_ours(services) is ours
            file.unlink()


def test_the_traces_are_those_that_the_role_leaves() -> None:
    traces = [trace.format(name_of(HOST_PLAN)) for trace in v2_installs.TRACES]
    assert traces == [dropin_path(HOST_PLAN), image_record(HOST_PLAN)]
