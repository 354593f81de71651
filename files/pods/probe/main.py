"""Acts as the host and as the agent in a scratch session, the way NanoClaw does, and says how each step went.

Argument: {"sessions", "groups", "mounts" [mount points that must be there], "host" [uid, gid], "agent" [uid, gid],
"user" (docker's --user, or null), "image", "wait" (seconds for the guard), "guard" (its unit), "heal"
(seconds for NanoClaw to end what a killed agent left), "slug"}.
Answer: tasks.model.ownership.probe_report.Observations as JSON. Whatever happens, the scratch is removed; what a
killed probe left is removed by the next one. Every step is bounded in time. Nothing but the scratch is written. A
refusal on NFS counts only if it is repeated once the permissions that the kernel remembers are dropped.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from files.pods.common.docker import docker_output
from files.pods.common.run_as_ids import ROOT, Ids, bind_in_private_namespace, run_as, set_ids
from files.pods.probe.container_script import SCRIPT
from files.pods.probe.environment import drop_permissions, id_mapping, mount_of, space_of, unit_property
from files.pods.probe.hot_journals import hot
from files.pods.probe.nosymfollow_view import VIEW, deepest_directory, enter_view
from files.pods.probe.scratch_session import (
    PREFIX,
    absent,
    clean_claims,
    make_session,
    read_inbound,
    remove,
    touch,
    write_outbound,
)
from files.pods.probe.survey import Survey
from files.pods.trees.entry import open_directory

STEP, CONTAINER, SURVEY = 40, 180, 150  # seconds


class Probe:
    def __init__(self, asked: dict[str, Any]) -> None:
        self.asked = asked
        self.host: Ids = (asked["host"][0], asked["host"][1])
        self.agent: Ids = (asked["agent"][0], asked["agent"][1])
        self.name = PREFIX + secrets.token_hex(8)
        self.shared = f"{asked['sessions']}/{self.name}/.claude-shared"
        self.session = f"{asked['sessions']}/{self.name}/sess-probe"
        self.group = f"{asked['groups']}/{self.name}"
        self.places = (VIEW + self.session, VIEW + self.shared, VIEW + self.group)
        self.seen: dict[str, Any] = {"steps": [], "relied": []}
        self.trees = (asked["sessions"], asked["groups"])
        self.made: list[str] = []
        self.anchors: list[str] = []

    def viewing(self, ids: Ids, work: Callable[[], Any], seconds: int = STEP) -> dict[str, Any]:
        """`acting` in a view of the trees without links: paths below VIEW lead nowhere else, whoever writes there."""

        def enter() -> Any:
            enter_view(self.anchors)
            set_ids(ids)
            return work()

        return run_as(ROOT, seconds, enter)

    def step(self, who: str, what: str, answer: dict[str, Any]) -> bool:
        self.seen["steps"].append({"who": who, "what": what, "error": None, "text": "", **without_value(answer)})
        return "error" not in answer

    def run(self) -> None:
        asked = self.asked
        self.seen["mounts"] = {path: mount_of(path) for path in self.trees}
        points = [mount["point"] for mount in self.seen["mounts"].values()]
        self.seen["missing"] = [path for path in asked["mounts"] if path not in points]
        if self.seen["missing"]:
            return
        reached = run_as(ROOT, STEP, lambda: [deepest_directory(path) for path in self.trees])
        self.anchors = reached.get("value", [])
        space = self.viewing(ROOT, lambda: space_of(VIEW + asked["sessions"])) if self.anchors else reached
        if not self.step("root", "look at the file system", space):
            return
        self.seen["space"] = space["value"]
        self.made = self.viewing(ROOT, lambda: [each for path in self.trees for each in absent(VIEW + path)]).get(
            "value", []
        )
        may_pass = run_as(self.host, STEP, lambda: [os.stat(path).st_ino for path in self.anchors])
        made = may_pass if "error" in may_pass else self.viewing(self.host, lambda: make_session(*self.places))
        if not self.step("host", "make a session", made):
            return
        self.seen["born"] = self.owners()
        if asked["wait"]:
            self.wait_for_guard()
        if self.as_agent():
            self.in_container()
            self.step(
                "host", "clean up after the agent", self.viewing(self.host, lambda: clean_claims(VIEW + self.session))
            )

    def owners(self) -> list[list[int]]:
        """Owners of the session, its outbox, its database, the agent's home and the group directory."""
        paths = (self.session, f"{self.session}/outbox", f"{self.session}/outbound.db", self.shared, self.group)
        places = [VIEW + path for path in paths]
        answer = self.viewing(ROOT, lambda: [[found.st_uid, found.st_gid] for found in map(os.lstat, places)])
        owners: list[list[int]] = answer.get("value", [])
        return owners

    def wait_for_guard(self) -> None:
        begun = time.monotonic()
        while any(owner[0] != self.agent[0] for owner in self.owners()):
            if time.monotonic() - begun > self.asked["wait"]:
                self.seen["guard"] = unit_property(self.asked["guard"], "ActiveState")
                break
            time.sleep(0.05)
        self.seen["settled"] = self.owners()
        self.seen["waited"] = round(time.monotonic() - begun, 2)
        self.seen["guard_says"] = unit_property(self.asked["guard"], "StatusText")
        if "guard" in self.seen:
            place = VIEW + self.session
            given = self.viewing(ROOT, lambda: os.chown(place, *self.agent, follow_symlinks=False))
            self.seen["chown"] = given.get("error")

    def as_agent(self) -> bool:
        made = self.viewing(ROOT, lambda: os.mkdir(f"{VIEW}{self.session}/agent"))
        if not self.step("dockerd", "make the mount point of the group directory in the session", made):
            return False
        for what, work in (
            ("write outbound.db with SQLite", write_outbound),
            ("touch .heartbeat", lambda: touch("workspace/.heartbeat")),
            ("make outbox/message", lambda: touch("workspace/outbox/message/file")),
            ("read inbound.db", read_inbound),
            ("write in the group directory", lambda: touch("workspace/agent/notes/file")),
            ("write in its home", lambda: touch("home/debug/file")),
        ):
            if not self.step("agent", what, self.inside(work)):
                return False
        self.viewing(ROOT, lambda: os.rmdir(f"{VIEW}{self.session}/agent"))
        self.seen["relied"].append("process")
        return True

    def inside(self, work: Any) -> dict[str, Any]:
        sources = ((self.session, "workspace"), (self.group, "workspace/agent"), (self.shared, "home"))

        def enter() -> Any:
            os.chdir(bind_in_private_namespace([(VIEW + source, target) for source, target in sources]))
            set_ids(self.agent)
            return work()

        return self.viewing(ROOT, enter)

    def in_container(self) -> None:
        image = self.asked["image"]
        code, text = docker_output(["image", "inspect", "--format", "{{.Id}}", image], STEP)
        if code != 0:
            missing = code == 1 and "no such image" in text.lower()
            self.seen["container"] = {"state": "no image" if missing else "no docker", "text": text}
            return
        user = ["--user", self.asked["user"], "-e", "HOME=/home/node"] if self.asked["user"] else []
        binds = (self.session, "/workspace"), (self.group, "/workspace/agent"), (self.shared, "/home/node/.claude")
        # dockerd follows links; what is swapped after this look, a container of the agent's own ids reaches alone.
        real = run_as(ROOT, STEP, lambda: [open_directory(source) for source, _target in binds])
        if not self.step("root", "find the session where it was made", real):
            return
        volumes = [word for source, target in binds for word in ("-v", f"{source}:{target}")]
        name = f"pods-probe-{self.asked['slug']}-{secrets.token_hex(4)}"
        plain = ["--rm", "--pull", "never", "--network", "none", "--name", name, "--entrypoint", "sh"]
        code, text = docker_output(["run", *plain, *user, *volumes, image, "-c", SCRIPT], CONTAINER)
        lines = text.splitlines()
        ids = next((line.split()[1:] for line in lines if line.startswith("id ")), None)
        self.seen["container"] = {"state": "ran" if ids else "failed", "text": "" if ids else text[-600:], "code": code}
        self.seen["container"]["ids"] = [int(number) for number in ids] if ids else None
        for line in lines:
            verdict, _, rest = line.partition(" ")
            what, _, said = rest.partition(": ")
            if verdict in ("ok", "fail"):
                self.step("container", what, {} if verdict == "ok" else {"error": "EXIT", "text": said.strip()})
        if ids:
            self.seen["relied"].append("container")
        if code is None:
            docker_output(["rm", "-f", name], STEP)

    def survey(self) -> None:
        asked = self.asked
        answer = self.viewing(ROOT, lambda: Survey(self.agent, VIEW).look(*self.trees), SURVEY)
        if self.step("agent", "look at what exists", answer):
            self.seen["survey"] = answer["value"]
            self.seen["survey"]["journals"] = hot(self.seen["survey"]["journals"], asked["heal"])

    def is_silent(self) -> bool:
        """Whether the server stopped answering: nothing more is asked of it then."""
        return any(step["error"] == "ETIMEDOUT" for step in self.seen["steps"])

    def was_refused(self) -> bool:
        """Whether a permission was refused on NFS: the answer may be an old one that this machine remembers."""
        refused = any(step["error"] in ("EACCES", "SQLITE", "EXIT") for step in self.seen["steps"])
        survey = self.seen.get("survey", {}).get("refused", 0) > 0
        return (refused or survey) and any(mount["type"].startswith("nfs") for mount in self.seen["mounts"].values())

    def remove_scratch(self) -> None:
        """Removes this scratch and what killed probes left, as whoever may."""
        for identity in (ROOT, self.host, self.agent):
            left = self.viewing(identity, lambda: remove([VIEW + path for path in self.trees], self.made))
            self.seen["left"] = [path.replace(VIEW, "", 1) for path in left.get("value", [left.get("text", "")])]
            if not self.seen["left"] or left.get("error") == "ETIMEDOUT":
                break


def without_value(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key != "value"}


def look(asked: dict[str, Any]) -> Probe:
    """One probe from its scratch's birth to its removal."""
    probe = Probe(asked)
    try:
        probe.run()
        if probe.anchors and not probe.is_silent():
            probe.survey()
    finally:
        if probe.seen.get("space"):
            probe.remove_scratch()
    return probe


def main() -> None:
    asked = json.loads(sys.argv[1])
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit("stopped"))
    with open("/run/nanoclaw-pods-probe.lock", "w", encoding="ascii") as lock:
        for _ in range(6):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(0.5)
        else:
            sys.exit("another run is probing this machine; run again when it has ended")
        begun = time.monotonic()
        probe = look(asked)
        flushed = probe.was_refused() and drop_permissions(STEP)
        if flushed:
            probe = look(asked)
    probe.seen.update(seconds=round(time.monotonic() - begun, 1), id_mapping=id_mapping(), flushed=flushed)
    print(json.dumps(probe.seen))


if __name__ == "__main__":
    main()
