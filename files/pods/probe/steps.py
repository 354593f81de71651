"""The steps of a probe: what the host and the agent do in a scratch session, as NanoClaw does it."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from files.pods.common.docker import docker_output
from files.pods.common.protocol import decode
from files.pods.common.run_as_ids import ROOT, Ids, bind_in_private_namespace, run_as, set_ids
from files.pods.probe import timeouts
from files.pods.probe.container_script import SCRIPT
from files.pods.probe.environment import mount_of, space_of, unit_property
from files.pods.probe.hot_journals import hot_journals
from files.pods.probe.nosymfollow_view import VIEW, deepest_directory, enter_view
from files.pods.probe.protocol import Container, Observations, ProbeRequest, Space, Step, Surveyed
from files.pods.probe.scratch_session import (
    CONTEXT_FILE,
    PREFIX,
    clean_claims,
    make_session,
    missing_directories,
    read_context,
    read_inbound,
    remove,
    touch,
    write_outbound,
)
from files.pods.probe.survey import Survey
from files.pods.trees.entry import open_directory


class Probe:
    """One run of all steps, and its report."""

    def __init__(self, request: ProbeRequest) -> None:
        self.request = request
        self.host: Ids = request.host
        self.agent: Ids = request.agent
        self.name = PREFIX + secrets.token_hex(8)
        self.shared = f"{request.sessions}/{self.name}/.claude-shared"
        self.session = f"{request.sessions}/{self.name}/sess-probe"
        self.group = f"{request.groups}/{self.name}"
        self.context = f"{request.sessions}/{self.name}/.context"
        self.paths = (VIEW + self.session, VIEW + self.shared, VIEW + self.group, VIEW + self.context)
        self.trees = (request.sessions, request.groups)
        self.report = Observations(mounts={path: mount_of(path) for path in self.trees}, missing=[])
        self.created: list[str] = []
        self.anchors: list[str] = []

    def call_in_view(self, ids: Ids, work: Callable[[], Any], timeout: int = timeouts.STEP) -> dict[str, Any]:
        """Call `work` with these ids in a child process, in a view of the trees without symbolic links (VIEW)."""

        def enter() -> Any:
            enter_view(self.anchors)
            set_ids(ids)
            return work()

        return run_as(ROOT, timeout, enter)

    def record_step(self, who: str, what: str, reply: dict[str, Any]) -> bool:
        """Add a step to the report; return whether it succeeded."""
        self.report.steps.append(Step(who, what, reply.get("error"), reply.get("text", "")))
        return "error" not in reply

    def run_steps(self) -> None:
        """Run the steps until one fails."""
        request = self.request
        points = [mount.point for mount in self.report.mounts.values()]
        self.report.missing = [path for path in request.mounts if path not in points]
        if self.report.missing:
            return
        reached = run_as(ROOT, timeouts.STEP, lambda: [deepest_directory(path) for path in self.trees])
        self.anchors = reached.get("value", [])
        space = self.call_in_view(ROOT, lambda: space_of(VIEW + request.sessions)) if self.anchors else reached
        if not self.record_step("root", "look at the file system", space):
            return
        self.report.space = Space(**space["value"])
        created = self.call_in_view(
            ROOT, lambda: [each for path in self.trees for each in missing_directories(VIEW + path)]
        )
        self.created = created.get("value", [])
        may_pass = run_as(self.host, timeouts.STEP, lambda: [os.stat(path).st_ino for path in self.anchors])
        created = may_pass if "error" in may_pass else self.call_in_view(self.host, lambda: make_session(*self.paths))
        if not self.record_step("host", "make a session", created):
            return
        self.report.created = self.session_owners()
        if request.wait:
            self.wait_for_guard()
        if self.run_agent_steps_in_process():
            self.run_agent_steps_in_container()
            cleaned = self.call_in_view(self.host, lambda: clean_claims(VIEW + self.session))
            self.record_step("host", "clean up after the agent", cleaned)

    def session_owners(self) -> list[tuple[int, int]]:
        """Return the owners of the session, what is in it, the agent's home, the group directory and the context."""
        paths = [self.session, f"{self.session}/outbox", f"{self.session}/outbound.db", self.shared, self.group]
        viewed = [VIEW + path for path in (*paths, self.context, f"{self.context}/{CONTEXT_FILE}")]
        reply = self.call_in_view(ROOT, lambda: [[info.st_uid, info.st_gid] for info in map(os.lstat, viewed)])
        return [(uid, gid) for uid, gid in reply.get("value", [])]

    def wait_for_guard(self) -> None:
        """Wait until the guard has chowned the session; else report its state and whether root may chown."""
        start = time.monotonic()
        while any(uid != self.agent[0] for uid, _gid in self.session_owners()):
            if time.monotonic() - start > self.request.wait:
                self.report.guard = unit_property(self.request.guard, "ActiveState")
                break
            time.sleep(0.05)
        self.report.settled = self.session_owners()
        self.report.waited = round(time.monotonic() - start, 2)
        self.report.guard_says = unit_property(self.request.guard, "StatusText")
        if self.report.guard is not None:
            session = VIEW + self.session
            reply = self.call_in_view(ROOT, lambda: os.chown(session, *self.agent, follow_symlinks=False))
            self.report.chown = reply.get("error")

    def run_agent_steps_in_process(self) -> bool:
        """Run the agent's steps in child processes with its ids; return whether all succeeded."""
        reply = self.call_in_view(ROOT, lambda: os.mkdir(f"{VIEW}{self.session}/agent"))
        if not self.record_step("dockerd", "make the mount point of the group directory in the session", reply):
            return False
        for what, work in (
            ("write outbound.db with SQLite", write_outbound),
            ("touch .heartbeat", lambda: touch("workspace/.heartbeat")),
            ("make outbox/message", lambda: touch("workspace/outbox/message/file")),
            ("read inbound.db", read_inbound),
            ("read its context", read_context),
            ("write in the group directory", lambda: touch("workspace/agent/notes/file")),
            ("write in its home", lambda: touch("home/debug/file")),
        ):
            if not self.record_step("agent", what, self.call_as_agent(work)):
                return False
        self.call_in_view(ROOT, lambda: os.rmdir(f"{VIEW}{self.session}/agent"))
        self.report.relied.append("process")
        return True

    def call_as_agent(self, work: Callable[[], Any]) -> dict[str, Any]:
        """Call `work` as the agent, with the directories bound as in its container."""
        sources = [(self.session, "workspace"), (self.group, "workspace/agent"), (self.shared, "home")]
        sources.append((self.context, "context"))

        def enter() -> Any:
            os.chdir(bind_in_private_namespace([(VIEW + source, target) for source, target in sources]))
            set_ids(self.agent)
            return work()

        return self.call_in_view(ROOT, enter)

    def run_agent_steps_in_container(self) -> None:
        """Run the agent's steps in a container of its image."""
        image = self.request.image
        code, text = docker_output(["image", "inspect", "--format", "{{.Id}}", image], timeouts.STEP)
        if code != 0:
            missing = code == 1 and "no such image" in text.lower()
            self.report.container = Container("no image" if missing else "no docker", text)
            return
        user = ["--user", self.request.user, "-e", "HOME=/home/node"] if self.request.user else []
        binds = [(self.session, "/workspace"), (self.group, "/workspace/agent"), (self.shared, "/home/node/.claude")]
        binds.append((self.context, "/workspace-context"))
        # dockerd follows links. If one is swapped in after this check, only the agent's own ids reach it.
        real = run_as(ROOT, timeouts.STEP, lambda: [open_directory(source) for source, _target in binds])
        if not self.record_step("root", "find the session where it was made", real):
            return
        volumes = [word for source, target in binds for word in ("-v", f"{source}:{target}")]
        name = f"pods-probe-{self.request.slug}-{secrets.token_hex(4)}"
        options = ["--rm", "--pull", "never", "--network", "none", "--name", name, "--entrypoint", "sh"]
        code, text = docker_output(["run", *options, *user, *volumes, image, "-c", SCRIPT], timeouts.CONTAINER)
        lines = text.splitlines()
        ids = next((line.split()[1:] for line in lines if line.startswith("id ")), None)
        state = "failed" if not ids else "ran" if code == 0 and "end" in lines else "unfinished"
        output = "" if state == "ran" else text[-600:]
        self.report.container = Container(state, output, code, (int(ids[0]), int(ids[1])) if ids else None)
        for line in lines:
            verdict, _, rest = line.partition(" ")
            what, _, output = rest.partition(": ")
            if verdict in ("ok", "fail"):
                self.record_step(
                    "container", what, {} if verdict == "ok" else {"error": "EXIT", "text": output.strip()}
                )
        if state == "ran":
            self.report.relied.append("container")
        if code is None:
            docker_output(["rm", "-f", name], timeouts.STEP)

    def survey_existing_sessions(self) -> None:
        """Check what the agent may write of the existing sessions and groups."""
        reply = self.call_in_view(ROOT, lambda: asdict(Survey(self.agent, VIEW).read(*self.trees)), timeouts.SURVEY)
        if self.record_step("agent", "look at what exists", reply):
            survey = decode(Surveyed, reply["value"], "survey")
            self.report.survey = replace(survey, journals=hot_journals(survey.journals, self.request.heal))

    def is_silent(self) -> bool:
        """Return whether the server stopped answering: then no further request is made."""
        return any(step.error == "ETIMEDOUT" for step in self.report.steps)

    def was_refused(self) -> bool:
        """Return whether NFS refused a permission: the kernel may have cached an old reply."""
        refused = any(step.error in ("EACCES", "SQLITE", "EXIT") for step in self.report.steps)
        refused |= self.report.survey is not None and self.report.survey.refused > 0
        return refused and any(mount.type.startswith("nfs") for mount in self.report.mounts.values())

    def remove_scratch(self) -> None:
        """Remove this scratch and what killed probes left, with any ids that may."""
        for identity in (ROOT, self.host, self.agent):
            left = self.call_in_view(identity, lambda: remove([VIEW + path for path in self.trees], self.created))
            self.report.left = [path.replace(VIEW, "", 1) for path in left.get("value", [left.get("text", "")])]
            if not self.report.left or left.get("error") == "ETIMEDOUT":
                break
