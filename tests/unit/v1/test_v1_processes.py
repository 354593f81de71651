"""Where a NanoClaw v1 is, and what runs it: units of both managers, processes, pid files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from files.pods.common.read_untrusted import MAX_BYTES, read_untrusted_text
from files.pods.service import root_processes
from files.pods.v1 import database as v1_database
from files.pods.v1 import processes as v1_running
from files.pods.v1.running_state import PidFile
from tests.lab.v1_tree import make_tree
from tests.unit.service.managers import NODE, SERVES, Managed, needs_managers
from tests.unit.trees.trees import needs_root


@contextmanager
def process(root: Path, word: str, *wrapped: str) -> Iterator[int]:
    argv = [*wrapped, sys.executable, "-c", "print(flush=True); input()", word]
    with subprocess.Popen(
        argv, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as started:
        try:
            assert started.stdout and started.stdout.readline()  # before, it may have no command line yet
            yield started.pid
        finally:
            started.kill()


@pytest.mark.parametrize("word", ["{root}/dist/index.js", "dist/index.js", "src/index.ts"])
def test_process_is_identified_by_its_program(tmp_path: Path, word: str) -> None:
    root = tmp_path / "claw"
    make_tree(root)
    with process(root, word.format(root=root)) as pid:
        (only,) = v1_running.processes(str(root))
        assert (only["pid"], only["uid"], only["directory"]) == (pid, os.getuid(), str(root))
        assert v1_running.processes(str(tmp_path / "another")) == []
    assert v1_running.processes(str(root)) == []


@needs_root
def test_process_in_a_container_counts_only_if_a_service_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hardened service has mounts of its own (systemd.exec(5), PrivateTmp=)."""
    root = tmp_path / "claw"
    make_tree(root)
    real = root_processes.file_of
    groups = {
        "0::/system.slice/docker-1234.scope\n": False,
        "0::/lxc.payload.x/system.slice/nanoclaw.service\n": False,
        "0::/system.slice/nanoclaw.service/payload\n": True,
    }
    with process(root, "dist/index.js", "unshare", "--mount") as pid:
        for group, is_a_services in groups.items():
            texts = {(str(pid), "cgroup"): group.encode()}
            monkeypatch.setattr(root_processes, "file_of", lambda *what, texts=texts: texts.get(what) or real(*what))
            listed = v1_running.processes(str(root))
            assert [(one["pid"], one["manager"], one["unit"]) for one in listed] == [
                (pid, "system", "nanoclaw.service")
            ][: int(is_a_services)]


@pytest.mark.parametrize(("text", "pid"), [("123\n", 123), ("", None), ("12 34", None), ("-1", None)])
def test_pid_file_is_read(tmp_path: Path, text: str, pid: int | None) -> None:
    assert v1_running.pid_file(str(tmp_path)) is None
    (tmp_path / "nanoclaw.pid").write_text(text)
    assert v1_running.pid_file(str(tmp_path)) == PidFile(f"{tmp_path}/nanoclaw.pid", pid)


def unit(*lines: str) -> str:
    return "\n".join(["[Service]", *lines, ""])


WHERE = """
from files.pods.v1.find import candidates, every_home, others_installs
homes = every_home()[0]
found = candidates("auto", "/opt/nanoclaw", 1000, homes)
found += others_installs(1000, homes, [one.path for one in found])
answer = {one.path: (one.kind, one.trusted, *one.by) for one in found}
"""
USER = ".config/systemd/user"
RUN = f"ExecStart={NODE} dist/index.js"


def claw(path: str, version: str = "1.2.53") -> dict[str, str]:
    return {
        f"{path}/store/messages.db": "",
        f"{path}/package.json": f'{{"version": "{version}"}}',
        f"{path}/dist/index.js": SERVES,
    }


@needs_managers
def test_auto_trusts_root_and_the_host_user_and_lists_others(tmp_path: Path) -> None:
    roots = (
        "/opt/v1",
        "/opt/eves",
        "/opt/open",
        "/srv/claw",
        "/srv/started",
        "/root/claw",
        "/root/wrapped",
        "/home/host/claw",
    )
    planted = ("/home/eve/claw", "/home/eve/wrapped", "/home/eve/started", "/home/CORP/dom/claw")
    files = {path: text for root in (*roots, *planted) for path, text in claw(root).items()}
    files |= claw("/opt/v2", "2.0.64") | claw("/opt/nanoclaw", "2.0.64")
    files["/etc/systemd/system/nanoclaw.service"] = unit("WorkingDirectory=/srv/claw", RUN)
    files["/etc/systemd/system/gone.service"] = unit("WorkingDirectory=/srv/gone", RUN)
    files[f"/home/host/{USER}/nanoclaw.service"] = unit("WorkingDirectory=%h/claw", RUN)
    files[f"/root/{USER}/nanoclaw.service"] = unit("WorkingDirectory=%h/claw", RUN)
    files[f"/home/eve/{USER}/nanoclaw.service"] = unit("WorkingDirectory=%h/claw", RUN)
    files[f"/home/CORP/dom/{USER}/nanoclaw.service"] = unit("WorkingDirectory=%h/claw", RUN)
    files |= {f"{root}/nanoclaw.pid": "1" for root in ("/root/wrapped", "/home/eve/wrapped")}
    machine = Managed(files, users={"host": (1000, "/home/host"), "eve": (2002, "/home/eve")}, running=(1000, 2002))
    machine.owners = {"/home/host": 1000, "/home/eve": 2002, "/home/CORP/dom": 2003, "/opt/eves": 2002}
    start = f"cd PLACE; setsid setpriv --reuid=UID {NODE} -I -B -E dist/index.js </dev/null >/dev/null 2>&1 & sleep 0.3"
    places = (("/srv/started", 0), ("/home/eve/started", 2002))
    machine.first = (
        "chmod 777 /opt/open",
        *(start.replace("PLACE", place).replace("UID", str(uid)) for place, uid in places),
    )
    reply = machine.ask(WHERE, tmp_path)
    assert {path: tuple(candidate[:2]) for path, candidate in reply.items()} == {
        **{root: ("v1", True) for root in roots if root not in ("/opt/eves", "/opt/open")},
        "/opt/eves": ("v1", False),
        "/opt/open": ("v1", False),
        **{root: ("v1", False) for root in planted},
    }
    assert reply["/srv/claw"][2:] == ["by /etc/systemd/system/nanoclaw.service"]
    assert reply["/home/eve/claw"][2:] == [f"by /home/eve/{USER}/nanoclaw.service"]


OTHERS = """
from files.pods.v1.find import every_home, others_installs
answer = [one.path for one in others_installs(1000, every_home()[0], [])]
"""


@needs_managers
@pytest.mark.parametrize("way", ["pid file", "unit", "process"])
def test_install_of_root_or_the_host_user_is_not_of_others(tmp_path: Path, way: str) -> None:
    """Even if nothing else names it yet: otherwise the operator's own install would be refused."""
    homes = {"/root": 0, "/home/host": 1000, "/home/eve": 2002}
    files = {path: text for home in homes for path, text in claw(f"{home}/claw").items()}
    users = {"host": (1000, "/home/host"), "eve": (2002, "/home/eve")}
    machine = Managed(files, users=users, running=(1000, 2002))
    machine.owners = {home: uid for home, uid in homes.items() if uid}
    start = f"setsid setpriv --reuid=UID {NODE} -I -B -E dist/index.js </dev/null >/dev/null 2>&1 & sleep 0.3"
    for home, uid in homes.items():
        if way == "pid file":
            machine.files[f"{home}/claw/nanoclaw.pid"] = "1"
        elif way == "unit":
            machine.files[f"{home}/{USER}/nanoclaw.service"] = unit("WorkingDirectory=%h/claw", RUN)
        else:
            machine.first = (*machine.first, f"cd {home}/claw; {start.replace('UID', str(uid))}")
    assert machine.ask(OTHERS, tmp_path) == ["/home/eve/claw"]


@needs_managers
def test_install_is_listed_once_and_a_missing_one_is_reported(tmp_path: Path) -> None:
    files = claw("/opt/claw")
    files["/etc/systemd/system/nanoclaw.service"] = unit("WorkingDirectory=/opt/link", RUN)
    files[f"/root/{USER}/nanoclaw.service"] = unit("WorkingDirectory=/opt/gone", RUN)
    reply = Managed(files, links={"/opt/link": "claw"}).ask(WHERE, tmp_path)
    assert reply["/opt/claw"][:2] == ["v1", True] and len(reply["/opt/claw"]) == 4
    assert reply["/opt/gone"] == ["absent", True, f"by /root/{USER}/nanoclaw.service"]


HOMES = """
from files.pods.v1.find import every_home, homes_with_units
from files.pods.v1.processes import running
homes = every_home()[0]
answer = dict(running("/srv/claw", homes_with_units(homes), homes)[1])
"""


@needs_managers
def test_without_a_service_the_lists_of_each_possible_user_count(tmp_path: Path) -> None:
    """The user of v1 is unknown then, and a sender list that nobody reads makes every chat public."""
    lists = {f"/home/{name}/.config/nanoclaw/sender-allowlist.json": "{}" for name in ("andy", "eve")}
    users = {"andy": (2001, "/home/andy"), "eve": (2002, "/home/eve"), "bob": (2003, "/home/bob")}
    machine = Managed({**claw("/srv/claw"), **lists, "/home/bob/x": ""}, users=users)
    machine.first = ("chgrp -R 2001 /srv/claw", "chmod -R g+w /srv/claw")
    assert machine.ask(HOMES, tmp_path) == {
        "/root": "the owner of /srv/claw",
        "/home/andy": "uid 2001, who may write /srv/claw",
    }
    machine.files["/etc/systemd/system/claw.service"] = unit("WorkingDirectory=/srv/claw", RUN, "User=bob")
    assert list(machine.ask(HOMES, tmp_path)) == ["/home/bob"], "a service that is known leaves no doubt"


def test_log_that_is_too_large_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tree(tmp_path / "claw", traits=["journal"])
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(v1_database, "COPY_AT_MOST", 10_000)
    reply = v1_database.database(str(tmp_path / "claw/store"), str(tmp_path / "scratch"))
    assert reply.state == "unread" and "too large for a copy in memory" in reply.text
    assert list((tmp_path / "scratch").iterdir()) == []


def test_only_small_regular_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "large").write_bytes(b"x" * (MAX_BYTES + 1))
    os.mkfifo(tmp_path / "pipe")
    names = ("file", "link", "large", "pipe", "none")
    assert [read_untrusted_text(str(tmp_path / name)) for name in names] == ["text", None, None, None, None]
    assert read_untrusted_text(str(tmp_path / "link"), follow=True) == "text"
