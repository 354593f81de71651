"""The stop of v1, with systemd's own managers and stand-ins for Docker's daemons."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from files.pods.v1.protocol import Service, StopRequest
from tests.programs import machine_argv, replaced
from tests.unit.service.managers import NODE, SERVES, Managed, needs_managers

pytestmark = needs_managers

ROOT, ANDY, EVE = "/home/andy/claw", 2001, 2002
SYSTEM_UNIT = "/etc/systemd/system/nanoclaw.service"
UNIT = f"[Service]\nUser=andy\nWorkingDirectory={ROOT}\nExecStart={NODE} dist/index.js\n"
V1 = Service("nanoclaw.service")
FILES = {f"{ROOT}/dist/index.js": SERVES, f"{ROOT}/store/messages.db": "", SYSTEM_UNIT: UNIT}
LOOSE = f"cd {ROOT}; setsid setpriv --reuid=UID WORDS </dev/null >/dev/null 2>&1 & sleep 0.5"
DOCKER = """#!/bin/sh
echo "$@" >>/run/asked
case "$*" in
*inspect*) echo MOUNT ;;
*stop*) touch /run/stopped ;;
*ps*) [ -e /run/stopped ] || printf 'nanoclaw-main-1\\t\\nnanoclaw-v2-x\\tlabel\\nmy-nanoclaw-y\\t\\n' ;;
esac
"""
STOP = """
import json, os, subprocess
done = subprocess.run(ARGV, capture_output=True, text=True, timeout=50)
state = subprocess.run(["systemctl", "show", "-P", "ActiveState", "nanoclaw"], capture_output=True, text=True).stdout
files = {name: os.path.exists("/run/" + name) for name in ("trying", "ran")}
asked = open("/run/asked").read().splitlines() if os.path.exists("/run/asked") else []
answer = {"status": done.returncode, "out": done.stdout, "err": done.stderr, "state": state.strip(), "asked": asked}
answer.update(files)
"""


def named(program: str, args: str, user: int = 0) -> str:
    """A shell command that runs a process of this name with these arguments."""
    run = f"cp /usr/bin/python3 /opt/bin/{program} && setsid setpriv --reuid={user} /opt/bin/{program}"
    return f"{run} -c 'import time; time.sleep(1000)' {args} </dev/null >/dev/null 2>&1 & sleep 0.5"


def stop(folder: Path, *first: str, v1: Service | None = V1, docker: str = "") -> dict[str, Any]:
    request = StopRequest(v1, ROOT, "/run/trying", "/run/ran")
    argv = machine_argv(request.entry, request.document(), replaced("PATIENCE = 30, 60", "PATIENCE = 1, 3"))
    files = {**FILES, **({"/opt/bin/docker": docker} if docker else {})}
    machine = Managed(files, users={"andy": (ANDY, "/home/andy"), "eve": (EVE, "/home/eve")})
    machine.owners, machine.first = {ROOT: ANDY}, first
    answer: dict[str, Any] = machine.ask(f"ARGV = {argv!r}\n{STOP}", folder)
    return answer


def test_running_v1_is_stopped_and_cannot_start(tmp_path: Path) -> None:
    done = stop(tmp_path, "systemctl start nanoclaw")
    assert (done["status"], json.loads(done["out"])) == (0, {"dead": True}), done
    assert (done["state"], done["trying"], done["ran"]) == ("inactive", True, True)
    assert done["asked"] == [], "no daemon runs, and none is started by asking"


def test_v1_that_did_not_run_leaves_no_file(tmp_path: Path) -> None:
    done = stop(tmp_path)
    assert (done["status"], done["trying"], done["ran"]) == (0, True, False)
    done = stop(tmp_path, v1=None)
    assert (done["status"], done["trying"], done["ran"]) == (0, True, False)


def test_service_that_does_not_stop_is_an_error(tmp_path: Path) -> None:
    done = stop(tmp_path, v1=Service("none.service"))
    assert done["status"] == 1 and "systemctl stop none.service (system)" in done["err"]


@pytest.mark.parametrize(
    "args",
    [
        f"{NODE} -I -B -E dist/index.js",
        f"{NODE} -I {ROOT}/dist/index.js",
        f"{NODE} -I dist/../dist/index.js",
        f'bash -c \'exec -a claw {NODE} -c "import time; f = open(\\"store/messages.db\\", \\"a\\"); time.sleep(99)"\'',
    ],
)
def test_v1_is_not_dead_while_a_process_of_it_runs(tmp_path: Path, args: str) -> None:
    """Options, path and name of Node do not matter: it has the database open."""
    done = stop(tmp_path, LOOSE.replace("UID", str(ANDY)).replace("WORDS", args))
    assert done["status"] == 1 and "v1 is not dead: process" in done["err"], done


@pytest.mark.parametrize(
    ("user", "args"),
    [
        (ANDY, "vim dist/index.js"),
        (EVE, f"{NODE} -I -B -E dist/index.js"),
        (EVE, f"{NODE} -c 'f = open(\"store/messages.db\"); import time; time.sleep(99)'"),
    ],
)
def test_readers_of_v1_do_not_keep_it_alive(tmp_path: Path, user: int, args: str) -> None:
    command = LOOSE.replace("UID", str(user)).replace("WORDS", args)
    if args.startswith("vim"):
        command = f"ln -s {NODE} /opt/bin/vim; " + command.replace("vim dist", "vim -I dist")
    assert stop(tmp_path, command)["status"] == 0


def test_agents_that_mount_a_directory_of_v1_are_stopped(tmp_path: Path) -> None:
    done = stop(tmp_path, named("dockerd", ""), docker=DOCKER.replace("MOUNT", f"{ROOT}/groups/main"))
    assert done["status"] == 0, done
    assert "stop --time=10 nanoclaw-main-1" in done["asked"]


def test_containers_of_others_are_left_alone(tmp_path: Path) -> None:
    done = stop(tmp_path, named("dockerd", ""), docker=DOCKER.replace("MOUNT", f"{ROOT}-other/groups"))
    assert done["status"] == 0 and not [line for line in done["asked"] if "stop" in line]


def test_agents_of_a_rootless_docker_are_stopped(tmp_path: Path) -> None:
    """Rootless Docker has no /run/docker.pid."""
    done = stop(tmp_path, named("dockerd", "", ANDY), docker=DOCKER.replace("MOUNT", f"{ROOT}/groups/main"))
    where = f"--host unix:///run/user/{ANDY}/docker.sock"
    assert done["status"] == 0 and f"{where} stop --time=10 nanoclaw-main-1" in done["asked"], done


@pytest.mark.parametrize(
    ("first", "docker", "why"),
    [
        (named("dockerd", ""), "#!/bin/sh\nexit 1\n", "Docker does not say which agents run"),
        (named("dockerd", "", ANDY), "#!/bin/sh\nexit 1\n", "Docker does not say which agents run"),
        (named("containerd-shim", "-namespace moby -id x"), "#!/bin/sh\n", "Docker does not say which agents run"),
        (named("conmon", "-n nanoclaw-main-1", ANDY), "#!/bin/sh\n", "agents of v1 do not stop: nanoclaw-main-1"),
        (
            named("dockerd", ""),
            DOCKER.replace("echo MOUNT", "exit 1"),
            "Docker does not say which agents run",
        ),
        (
            named("dockerd", ""),
            DOCKER.replace("MOUNT", f"{ROOT}/x").replace("touch /run/stopped", "exit 1"),
            "agents of v1 do not stop: nanoclaw-main-1",
        ),
    ],
)
def test_agents_that_are_unknown_or_do_not_stop_are_an_error(tmp_path: Path, first: str, docker: str, why: str) -> None:
    done = stop(tmp_path, first, docker=docker)
    assert done["status"] == 1 and why in done["err"], done


@pytest.mark.parametrize("slow", ["ps", "inspect", "stop"])
def test_slow_docker_ends_no_switch(tmp_path: Path, slow: str) -> None:
    """Its first answer times out; then it answers, and the agents are stopped."""
    once = f'case "$*" in *{slow}*) [ -e /run/was-slow ] || {{ touch /run/was-slow; exit 1; }} ;; esac\n'
    docker = DOCKER.replace("MOUNT", f"{ROOT}/groups/main").replace('case "$*" in\n', f'{once}case "$*" in\n', 1)
    done = stop(tmp_path, named("dockerd", ""), docker=docker)
    assert (done["status"], json.loads(done["out"] or "null")) == (0, {"dead": True}), done
    assert "stop --time=10 nanoclaw-main-1" in done["asked"]


def test_docker_of_another_user_is_ignored(tmp_path: Path) -> None:
    done = stop(tmp_path, named("dockerd", "", EVE), docker="#!/bin/sh\nexit 1\n")
    assert done["status"] == 0, done


@pytest.mark.parametrize("program", ["dockerd", "containerd-shim"])
def test_docker_inside_a_container_is_ignored(tmp_path: Path, program: str) -> None:
    """Docker in Docker: the daemon runs in a PID namespace of its own, and its socket is not the machine's."""
    inside = named(program, "-namespace moby -id x").replace("setsid", "setsid unshare --pid --fork")
    inside = inside.replace("import time;", "import signal, sys, time; signal.signal(15, lambda *_: sys.exit());")
    done = stop(tmp_path, inside, docker="#!/bin/sh\nexit 1\n")
    assert done["status"] == 0, done
