"""The agent image: its steps, the ids of its USER, and refusals."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from pyinfra.api.exceptions import OperationError

from files.pods.source.agent_image import LOCK_LABEL, PODMAN, daemon, numbers
from files.pods.source.build_image import build_argv
from files.pods.source.image_state import ImageRecord, ImageState
from files.pods.source.protocol import BuildImageRequest, ImageRequest
from tasks.model.access.identity import Ids
from tasks.model.fleet.plan import HostPlan
from tasks.model.host.agent_image import due_step, lock_problem, record_of, refusals, user_problem
from tasks.operations import agent_image as operations
from tests.builders import local_plan
from tests.programs import Change, replaced, request_argv
from tests.unit.conftest import Execute
from tests.unit.service.test_service_unit import ROOT
from tests.unit.trees.trees import A, needs_root

PASSWD = [["root", "x", "0", "0"], ["node", "x", "1000", "1001"]]
GROUP = [["root", "x", "0"], ["node", "x", "1001"], ["staff", "x", "50"]]

DONE = ImageState("", False, "sha256:a", "node", Ids(1000, 1000), "tree", ImageRecord("sha256:a", 1000, 1000, "tree"))
NONE = replace(DONE, image=None, user="", ids=None, record=None)
PULL = {"nanoclaw_image": "pull", "nanoclaw_image_name": "registry.invalid/agent@sha256:" + "0" * 64}
LOAD = {"nanoclaw_image": "load", "nanoclaw_image_name": "agent:1", "nanoclaw_image_archive": "/srv/agent.tar"}
USER = {"gid": 1000, "lock": local_plan().lock, "root": "/opt/nanoclaw", "uid": 1000, "user": "nanoclaw"}
BUILD = f"source.build_image {json.dumps(USER)}"


@pytest.mark.parametrize(
    ("docker", "answer"),
    [
        (None, ("docker is not installed", False)),
        ("exit 1", ("no reason given", False)),
        ("echo ' Cannot connect. ' >&2; exit 1", ("Cannot connect.", False)),
        ("""echo '{"store": {}, "host": {}}'""", ("docker is Podman, which has no docker.service", False)),
        ("""echo '{"ServerErrors": ["a", "b"]}'""", ("a; b", False)),
        ("""echo '{"SecurityOptions": ["name=seccomp,profile=x"]}'""", ("", False)),
        ("""echo '{"SecurityOptions": ["name=seccomp", "name=userns"]}'""", ("", True)),
        ("""echo '{"SecurityOptions": ["name=rootless,x=y"]}'""", ("", True)),
    ],
)
def test_daemon_answers_or_names_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, docker: str | None, answer: tuple[str, bool]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if docker:
        (tmp_path / "docker").write_text(
            f"#!/bin/sh\ntest \"$*\" = 'info --format {{{{json .}}}}' || exit 9\n{docker}\n"
        )
        (tmp_path / "docker").chmod(0o755)
    assert daemon() == answer


@pytest.mark.parametrize(
    ("user", "ids"),
    [
        ("", (0, 0)),
        ("root", (0, 0)),
        ("node", (1000, 1001)),
        ("1000", (1000, 1001)),
        ("4242", (4242, 0)),
        ("4242:4343", (4242, 4343)),
        ("node:staff", (1000, 50)),
        ("4242:staff", (4242, 50)),
        ("nobody-here", None),
        ("node:nothing", None),
    ],
)
def test_user_has_the_ids_that_docker_assigns(user: str, ids: tuple[int, int] | None) -> None:
    assert numbers(user, PASSWD, GROUP) == (None if ids is None else Ids(*ids))


@pytest.mark.parametrize(
    ("data", "current", "step"),
    [
        ({}, DONE, None),
        ({}, NONE, "build"),
        ({}, replace(DONE, tree="newer"), "build"),
        ({}, replace(DONE, record=None), "build"),
        ({}, replace(DONE, image="sha256:b"), None),
        (PULL, NONE, "pull"),
        (PULL, replace(DONE, tree="newer", record=None), None),
        (LOAD, NONE, "load"),
        (LOAD, DONE, None),
    ],
)
def test_missing_or_old_image_is_due(data: dict[str, Any], current: ImageState, step: str | None) -> None:
    assert due_step(local_plan(**data), current) == step


def test_only_a_built_image_records_its_tree() -> None:
    assert record_of(local_plan(), DONE) == DONE.record
    assert record_of(local_plan(**LOAD), DONE) == ImageRecord("sha256:a", 1000, 1000, "")
    assert record_of(local_plan(), NONE) is None


def test_unusable_docker_is_refused() -> None:
    assert refusals(DONE) == []
    assert "start docker.service" in refusals(replace(DONE, docker="no socket"))[0]
    assert "podman-docker" in refusals(replace(DONE, docker=PODMAN))[0]
    assert "userns-remap" in refusals(replace(DONE, shifts=True))[0]


@pytest.mark.parametrize(
    ("ids", "texts"),
    [
        (Ids(1000, 1000), []),
        (Ids(1001, 1002), ["1001:1002", "nanoclaw_image_uid to 1001", "nanoclaw_image_gid to 1002"]),
        (Ids(0, 0), ["root", "Claude Code refuses", "USER node"]),
        (Ids(4242, 0), ["group 0", "USER"]),
        (None, ["'node'", "passwd(5) lacks"]),
    ],
)
def test_user_of_the_image_must_match_the_plan_if_it_counts(ids: Ids | None, texts: list[str]) -> None:
    current = replace(DONE, ids=ids)
    for data in ({}, ROOT):
        problem = user_problem(local_plan(**data), current)
        assert (problem is None) == (not texts)
        assert all(word in (problem or "") for word in texts)
    assert user_problem(local_plan(nanoclaw_uid=1500), current) is None


Run = Callable[[list[ImageState], HostPlan], list[str]]


@pytest.fixture
def run(execute: Execute) -> Run:
    return lambda states, of: execute(operations.agent_image, states, of)


def test_second_run_does_nothing(run: Run) -> None:
    assert run([DONE], local_plan()) == []


@pytest.mark.parametrize(
    ("data", "command"),
    [
        ({}, BUILD),
        (PULL, f"docker pull --quiet {PULL['nanoclaw_image_name']}"),
        (LOAD, "docker load --quiet --input /srv/agent.tar"),
    ],
)
def test_first_run_gets_and_records_the_image(run: Run, data: dict[str, Any], command: str) -> None:
    got, record = run([NONE, replace(DONE, record=None)], local_plan(**data))
    assert got == command
    assert record.startswith("machine.write_file ")
    assert "image.json" in record


def test_wrong_image_is_refused_after_the_pull_or_load(run: Run) -> None:
    with pytest.raises(OperationError, match="nanoclaw_image_uid to 7"):
        run([NONE, replace(DONE, ids=Ids(7, 7))], local_plan())
    with pytest.raises(OperationError, match=r"no image is named agent:1 after the load: /srv/agent\.tar"):
        run([NONE, NONE], local_plan(**LOAD))


def test_wrong_user_is_refused_before_any_change(run: Run) -> None:
    with pytest.raises(OperationError, match="Claude Code refuses"):
        run([replace(DONE, ids=Ids(0, 0))], local_plan())


DOCKER = """\
#!/bin/sh
echo "$*" >> "$0.log"
case "$*" in
info*) echo '{"ServerErrors": null, "SecurityOptions": ["name=seccomp,profile=builtin"]}' ;;
"image inspect"*) echo '[{"Id": "sha256:a", "Config": {"User": "node"}}]' ;;
create*) echo c0ffee ;;
cp*passwd*) tar -C "$(dirname "$0")" -cf - passwd ;;
*) exit 1 ;;
esac
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project root with a repository, and a docker of its own."""
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "docker").chmod(0o755)
    (tmp_path / "passwd").write_text("root:x:0:0::/:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    root = tmp_path / "root"
    (root / "container").mkdir(parents=True)
    (root / "container" / "Dockerfile").write_text("FROM scratch\n")
    (root / "container" / "entry").write_text("#!/bin/sh\n")
    git = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@lab.invalid"]
    for args in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "one"]):
        subprocess.run([*git, *args], check=True)
    return tmp_path


def ask(machine: Path, change: Change | None = None) -> subprocess.CompletedProcess[str]:
    request = ImageRequest("agent", str(machine / "root"), os.getuid(), os.getgid(), str(machine / "record"))
    return subprocess.run(request_argv(request, change), capture_output=True, text=True)


def look(machine: Path) -> ImageState:
    request = ask(machine)
    assert request.returncode == 0, request.stderr
    return TypeAdapter(ImageState).validate_python(json.loads(request.stdout))


def test_podman_named_docker_is_not_docker(machine: Path) -> None:
    info = '{"host": {"security": {}}, "store": {}, "registries": {}, "version": {"Version": "5.4.2"}}'
    (machine / "docker").write_text(f"#!/bin/sh\ncase $1 in info) echo '{info}' ;; *) exit 1 ;; esac\n")
    assert look(machine).docker == PODMAN


def test_user_of_an_image_is_read_once(machine: Path) -> None:
    state = look(machine)
    assert (state.image, state.user, state.ids, state.record) == ("sha256:a", "node", Ids(1000, 1000), None)
    log = machine / "docker.log"
    assert "rm --force c0ffee" in log.read_text()
    log.unlink()
    (machine / "record").write_text(json.dumps({"image": "sha256:a", "uid": 5, "gid": 6, "tree": ""}))
    assert look(machine).ids == Ids(5, 6)
    assert "create" not in log.read_text()


@pytest.mark.parametrize(
    ("cp", "text"),
    [
        ("exec cat /dev/zero", "longer than 1 MiB"),
        ("head -c 4000 /dev/zero; sleep 600", "took more than 1 s"),
        ('ln -s /etc/shadow "$HERE/link/passwd"; exec tar -C "$HERE/link" -cf - passwd', "no regular file"),
        ('mkfifo "$HERE/link/passwd"; exec tar -C "$HERE/link" -cf - passwd', "no regular file"),
        ("echo no archive", "cannot be read"),
    ],
)
def test_reading_passwd_of_an_image_is_bounded(machine: Path, cp: str, text: str) -> None:
    """The author of the image decides what is there: a file without end, a pipe, a link."""
    (machine / "link").mkdir()
    (machine / "docker").write_text(DOCKER.replace('tar -C "$(dirname "$0")" -cf - passwd', f"HERE={machine}; {cp}"))
    done = ask(machine, replaced("COPY_SECONDS = 1 << 20, 30", "COPY_SECONDS = 1 << 20, 1"))
    assert done.returncode == 1 and text in done.stderr, done.stderr
    assert done.stderr.endswith(" Write the image's USER in numbers, UID:GID, then run again.\n")
    assert "rm --force c0ffee" in (machine / "docker.log").read_text()
    assert "--follow-link" not in (machine / "docker.log").read_text()


def test_docker_that_makes_no_container_says_why(machine: Path) -> None:
    (machine / "docker").write_text(DOCKER.replace("echo c0ffee", "echo no space left >&2; exit 1"))
    done = ask(machine)
    assert (done.returncode, done.stderr) == (1, "docker create agent: no space left\n\n")


@pytest.mark.parametrize("text", ["", "{}", '{"image": "sha256:a", "uid": "5", "gid": 6, "tree": ""}'])
def test_invalid_record_is_ignored(machine: Path, text: str) -> None:
    (machine / "record").write_text(text)
    state = look(machine)
    assert (state.ids, state.record) == (Ids(1000, 1000), None)


def test_user_with_an_id_that_linux_lacks_ends_the_look_with_its_name(machine: Path) -> None:
    (machine / "passwd").write_text("node:x:4294967295:1000::/home/node:/bin/sh\n")
    done = ask(machine)
    text = "the user of agent: uid 4294967295 does not exist: ids go from 0 to 4294967294\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", text)


def test_image_without_passwd_has_no_names(machine: Path) -> None:
    (machine / "passwd").unlink()
    assert look(machine).ids is None


def test_local_changes_of_the_container_tree_count(machine: Path) -> None:
    tree = look(machine).tree
    assert len(tree) == 40
    (machine / "root" / "other").write_text("")
    assert look(machine).tree == tree
    (machine / "root" / "container" / "Dockerfile").write_text("FROM scratch\nUSER node\n")
    changed = look(machine).tree
    assert changed.startswith(tree + "+")
    os.utime(machine / "root" / "container" / "entry", (1, 1))  # its times alone
    assert look(machine).tree == changed
    (machine / "root" / "container" / "Dockerfile").write_text("FROM scratch\nUSER other\n")
    assert look(machine).tree not in (changed, tree)


def test_changed_file_of_the_image_may_have_any_name_and_content(machine: Path) -> None:
    odd = machine / "root/container/:(top) caf\udce9"
    odd.write_bytes(b"\0\xff one")
    git = ["git", "-C", str(machine / "root"), "-c", "user.name=a", "-c", "user.email=a@lab.invalid"]
    for args in (["add", "."], ["commit", "--quiet", "--message", "two"]):
        subprocess.run([*git, *args], check=True)
    trees = {look(machine).tree}
    for content in (b"\0\xff two", b"\0\xff three"):
        odd.write_bytes(content)
        trees.add(look(machine).tree)
    assert len(trees) == 3


def test_look_writes_nothing_to_the_repository(machine: Path) -> None:
    """git diff would rewrite an index with old times, and block NanoClaw's own git by its lock."""
    root = machine / "root"
    index = (root / ".git/index").read_bytes()
    os.utime(root / "container/Dockerfile", (1, 1))
    before = {path: path.stat().st_mtime_ns for path in sorted(root.rglob("*"))}
    assert len(look(machine).tree) == 40
    assert (root / ".git/index").read_bytes() == index
    assert {path: path.stat().st_mtime_ns for path in sorted(root.rglob("*"))} == before


@needs_root
def test_programs_of_another_users_repository_never_run_as_root(machine: Path) -> None:
    """The fact precedes the chown: the checkout may still belong to another user."""
    root, evil, request = machine / "root", machine / "evil", machine / "uids"
    for parent in (machine, *machine.parents):
        if parent.name.startswith(("test_", "pytest-", "popen-")):
            parent.chmod(0o755)
    evil.write_text(f"#!/bin/sh\nid -u >> {request}\nexec cat\n")
    evil.chmod(0o755)
    request.touch()
    request.chmod(0o666)
    (root / ".git/info/attributes").write_text("Dockerfile filter=evil\n")
    for name in ("core.fsmonitor", "filter.evil.clean"):
        subprocess.run(["git", "-C", str(root), "config", name, str(evil)], check=True)
    (root / "container/Dockerfile").write_text("FROM scratch\nUSER node\n")
    subprocess.run(["chown", "-R", f"{A}:{A}", str(root)], check=True)
    assert "+" in look(machine).tree
    assert set(request.read_text().split()) == {str(A)}


LOCK_FILE = "container/agent-runner/bun.lock"


@pytest.mark.parametrize(("labels", "lock"), [(None, ""), ({}, ""), ({LOCK_LABEL: "1a" * 32, "other": "x"}, "1a" * 32)])
def test_label_of_the_image_and_lock_file_of_the_checkout_are_read(
    machine: Path, labels: dict[str, str] | None, lock: str
) -> None:
    docker = machine / "docker"
    described = json.dumps({"User": "node", "Labels": labels})
    docker.write_text(docker.read_text().replace('{"User": "node"}', described))
    assert described in docker.read_text()
    assert (look(machine).lock, look(machine).desired_lock) == (lock, "")
    (machine / "root" / LOCK_FILE).parent.mkdir(parents=True, exist_ok=True)
    (machine / "root" / LOCK_FILE).write_text("x")
    assert look(machine).desired_lock == hashlib.sha256(b"x").hexdigest()


@pytest.mark.parametrize(
    ("branch", "argv"),
    [
        ("TAG=${1:-latest}", []),
        ('case "$1" in\n    pull|--pull) shift ;;\n    build|--build) shift ;;\nesac', ["build"]),
        ('case "$1" in\n  pull|build) shift ;;\nesac', ["build"]),
        ('case "$1" in\n  pull) shift ;;\nesac\n# ./build.sh build)', []),
        ("docker build -t x . (with build)", []),
    ],
)
def test_the_build_names_the_word_of_a_script_that_has_it(tmp_path: Path, branch: str, argv: list[str]) -> None:
    """An older script would take it for the tag of the image."""
    (tmp_path / "container").mkdir()
    (tmp_path / "container/build.sh").write_text(f"#!/bin/bash\n{branch}\n")
    assert build_argv(str(tmp_path)) == ["bash", "container/build.sh", *argv]


@pytest.mark.parametrize("data", [PULL, LOAD])
def test_image_of_another_version_is_refused_where_the_role_does_not_build_it(data: dict[str, Any]) -> None:
    other = replace(DONE, lock="1a" * 32, desired_lock="2b" * 32)
    text = lock_problem(local_plan(**data), other)
    assert text and f"its label {LOCK_LABEL} is 1a1a1a1a1a1a, and {LOCK_FILE} of the checkout has 2b2b2b2b2b2b" in text
    assert 'or nanoclaw_image to "build"' in text
    for right in ({"lock": ""}, {"desired_lock": ""}, {"lock": "2b" * 32}, {"image": None}):
        assert lock_problem(local_plan(**data), replace(other, **right)) is None
    assert lock_problem(local_plan(), other) is None, "container/ decides when it is built"


@pytest.mark.parametrize("status", [0, 3])
def test_build_runs_the_checkouts_script_and_exits_with_its_status(machine: Path, status: int) -> None:
    root = machine / "root"
    (root / "container/build.sh").write_text(f"pwd; echo building; exit {status}\n")
    me = pwd.getpwuid(os.getuid())
    request = BuildImageRequest(me.pw_name, me.pw_uid, me.pw_gid, str(root), f"{machine}/lock")
    done = subprocess.run(request_argv(request), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (status, f"{root}\nbuilding\n"), done.stderr
