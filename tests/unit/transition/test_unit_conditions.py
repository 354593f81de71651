"""Files select which of v1 and v2 may start, in systemd's own managers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from files.pods.transition.protocol import ConditionsRequest
from files.pods.v1.protocol import Service
from tests.programs import machine_argv
from tests.unit.service.managers import Managed, needs_managers

pytestmark = needs_managers

ANDY = 2001
STAYS = "[Service]\nExecStart=/bin/sleep 1000\n[Install]\nWantedBy=default.target\n"
USER_UNIT = "/home/andy/.config/systemd/user/nanoclaw.service"
SYSTEM, USER = Service("nanoclaw.service"), Service("nanoclaw.service", ANDY)
DROPIN = "nanoclaw.service.d/60-nanoclaw-pods-migration.conf"
TIE = """
import json, os, subprocess
def run(*words, **more):
    return subprocess.run(words, capture_output=True, text=True, timeout=60, **more)
def systemctl(*words):
    if not USER:
        return run("systemctl", *words).stdout.strip()
    andy = ("setpriv", "--reuid=2001", "env", "XDG_RUNTIME_DIR=/run/user/2001")
    return run(*andy, "systemctl", "--user", *words).stdout.strip()
def starts():
    systemctl("start", "nanoclaw")
    run("systemctl", "start", "v2")
    state = ("show", "-P", "ActiveState")
    said = [systemctl(*state, "nanoclaw"), run("systemctl", *state, "v2").stdout.strip()]
    systemctl("stop", "nanoclaw"); run("systemctl", "stop", "v2")
    return said
done = [run(*ARGV) for _ in range(2)]
answer = {"done": [[one.returncode, one.stdout, one.stderr] for one in done], "starts": {}}
if not done[0].returncode:
    for name, files in {"neither": (), "trying": ("/run/trying",), "marker": ("/run/etc/marker",)}.items():
        for file in files:
            open(file, "w").close()
        answer["starts"][name] = starts()
        for file in files:
            os.unlink(file)
    answer["enabled"] = run("systemctl", "is-enabled", "v2").stdout.strip()
"""


def tie(folder: Path, v1: Service | None, *first: str, **links: str) -> dict[str, Any]:
    request = ConditionsRequest(v1, "v2.service", "/run/etc/marker", "/run/trying")
    argv = machine_argv(request.entry, request.document())
    files = {"/etc/systemd/system/v2.service": STAYS, "/etc/systemd/system/nanoclaw.service": STAYS, USER_UNIT: STAYS}
    machine = Managed(files, users={"andy": (ANDY, "/home/andy")}, running=(ANDY,), links=links)
    machine.owners, machine.first = {"/home/andy": ANDY}, first
    user = v1 is not None and v1.uid is not None
    answer: dict[str, Any] = machine.ask(f"ARGV, USER = {argv!r}, {user}\n{TIE}", folder)
    return answer


@pytest.mark.parametrize("v1", [SYSTEM, USER], ids=["system", "user"])
def test_v1_starts_without_the_files_and_v2_with_one(tmp_path: Path, v1: Service) -> None:
    answer = tie(tmp_path, v1)
    assert answer["starts"] == {
        "neither": ["active", "inactive"],
        "trying": ["inactive", "active"],
        "marker": ["inactive", "active"],
    }, answer
    assert answer["enabled"] == "enabled"
    first, second = (json.loads(one[1])["changed"] for one in answer["done"])
    place = "/etc/systemd/system" if v1 is SYSTEM else "/home/andy/.config/systemd/user"
    assert first == [f"{place}/{DROPIN}", "/etc/systemd/system/v2.service.d/60-nanoclaw-pods-migration.conf"]
    assert second == []


def test_only_v2_has_conditions_if_v1_has_no_service(tmp_path: Path) -> None:
    answer = tie(tmp_path, None)
    assert answer["starts"]["neither"][1] == "inactive" and answer["starts"]["marker"][1] == "active"


def test_root_follows_no_link_in_a_home(tmp_path: Path) -> None:
    place = f"/home/andy/.config/systemd/user/{DROPIN.partition('/')[0]}"
    answer = tie(tmp_path, USER, **{place: "/etc/systemd/system"})
    assert answer["done"][0][0] == 1 and "user andy could not write" in answer["done"][0][2], answer


@pytest.mark.parametrize(
    ("v1", "first", "why"),
    [
        (replace(USER, uid=4321), "true", "4321"),
        (USER, "systemctl stop user@2001.service", "systemctl daemon-reload (user)"),
        (SYSTEM, "rm /etc/systemd/system/v2.service; systemctl daemon-reload", "systemctl enable v2.service (system)"),
    ],
)
def test_manager_that_fails_is_an_error(tmp_path: Path, v1: Service | None, first: str, why: str) -> None:
    status, _, text = tie(tmp_path, v1, first)["done"][0]
    assert status == 1 and why in text and "Traceback" not in text
