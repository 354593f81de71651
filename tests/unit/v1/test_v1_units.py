"""A v1 after a rollback serves only if it stays up, in systemd's own managers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from files.pods.transition.protocol import RollbackRequest
from files.pods.v1.protocol import Service
from tests.programs import machine_argv
from tests.unit.service.managers import Managed, needs_managers

pytestmark = needs_managers

ANDY = 2001
USER_UNIT = "/home/andy/.config/systemd/user/nanoclaw.service"
SYSTEM_UNIT = "/etc/systemd/system/nanoclaw.service"
BACK = """
import json, os, subprocess
os.makedirs("/run/etc"); open("/run/ran", "w").close(); open("/run/etc/marker", "w").close()
json.dump({"state": "switching", "steps": []}, open("/run/journal", "w"))
done = subprocess.run(ARGV, capture_output=True, text=True, timeout=100)
journal = json.load(open("/run/journal"))["state"]
left = sorted(name for name in ("ran", "etc/marker") if os.path.exists("/run/" + name))
answer = [done.returncode, done.stdout, done.stderr, journal, left]
"""


def sooner(program: str) -> str:
    """Change the program: a service is up once it has run for 3 of 5 seconds."""
    return program.replace("start_and_stay(v1, 60)", "start_and_stay(v1, 5)").replace("since > 5", "since > 3")


def put_back(folder: Path, *lines: str, user: bool = False, **more: Any) -> list[Any]:
    v1 = Service("nanoclaw.service", ANDY if user else None)
    places = {"marker": "/run/etc/marker", "trying": "/run/trying", "ran": "/run/ran", "journal": "/run/journal"}
    request = RollbackRequest(v1, "v2.service", "x", **{**places, **more})
    argv = machine_argv(request.entry, request.document(), sooner)
    files = {USER_UNIT if user else SYSTEM_UNIT: "\n".join(["[Service]", *lines, ""])}
    files["/etc/systemd/system/v2.service"] = "[Service]\nExecStart=/bin/sleep 1000\n"
    machine = Managed(files, users={"andy": (ANDY, "/home/andy")}, running=(ANDY,) if user else ())
    machine.owners = {"/home/andy": ANDY}
    answer: list[Any] = machine.ask(f"ARGV = {argv!r}\n{BACK}", folder, seconds=120)
    return answer


@pytest.mark.parametrize("user", [False, True])
def test_v1_that_stays_up_serves(tmp_path: Path, user: bool) -> None:
    status, out, text, journal, left = put_back(tmp_path, "ExecStart=/bin/sleep 1000", user=user)
    assert (status, json.loads(out)["v1"], journal, left) == (0, "active", "rolled back", []), text


def test_oneshot_service_with_a_process_serves(tmp_path: Path) -> None:
    lines = ("Type=oneshot", "RemainAfterExit=yes", "ExecStart=/bin/sh -c '/bin/sleep 1000 &'")
    assert put_back(tmp_path, *lines)[0] == 0


@pytest.mark.parametrize(
    "lines",
    [
        ("ExecStart=/bin/sh -c 'sleep 2; exit 1'",),
        ("ExecStart=/bin/sh -c 'sleep 2; exit 0'",),
        ("ExecStart=/bin/sh -c 'sleep 1; exit 1'", "Restart=always", "RestartSec=100ms"),
        ("ExecStart=/bin/sh -c 'sleep 1; exit 1'", "Restart=always", "RestartSec=1h"),
        ("ExecStart=/nowhere",),
        ("Type=oneshot", "RemainAfterExit=yes", "ExecStart=/bin/true"),
    ],
)
def test_v1_that_ends_does_not_serve(tmp_path: Path, lines: tuple[str, ...]) -> None:
    status, _, text, journal, left = put_back(tmp_path, *lines)
    assert status == 1 and "nanoclaw.service" in text and "Traceback" not in text
    assert (journal, left) == ("switching", ["ran"]), "the next try puts it back again"


def test_v2_continues_to_serve_if_v1_ends(tmp_path: Path) -> None:
    status, _, text, _, left = put_back(tmp_path, "ExecStart=/bin/false", serves=True)
    assert status == 1 and "v1 does not start, so v2 continues to serve" in text
    assert "etc/marker" in left
