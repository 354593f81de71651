"""The cause of a failed probe."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from files.pods.probe.protocol import Container, Observations, ProbedMount, Refused, Space, Step, Surveyed
from tasks.model.access.observed_squash import BROKEN_MAPPING
from tasks.model.ownership.diagnosis import diagnose, summary
from tests.builders import host_plan

A, ROOT, NOBODY = (1000, 1000), (0, 0), (65534, 65534)
NFS = ProbedMount("/pods", "nfs4", "10.0.0.1:/srv/pods/oslo", ["hard", "rw"])
GOOD = Observations(
    seconds=12.5,
    missing=[],
    mounts={"/opt/nanoclaw/data/v2-sessions": NFS, "/opt/nanoclaw/groups": NFS},
    steps=[Step("host", "make a session"), Step("agent", "write outbound.db with SQLite")],
    relied=["process", "container"],
    id_mapping=False,
    space=Space(1 << 30, 1000),
    created=[A] * 5,
    container=Container("ran", code=0, ids=A),
    survey=Surveyed(3, 2, 0, [], []),
)


plan = partial(host_plan, nanoclaw_user="root")


def test_a_denied_mount_point_has_its_rule() -> None:
    finding = diagnose(replace(GOOD, **failed("dockerd", "EACCES")), plan(nanoclaw_user="nanoclaw"))
    assert finding is not None
    rule = "With root_squash this happens: the server maps root (0:0) to 65534:65534 (root_squash); "
    assert rule in finding.text
    assert finding.text.endswith(": dockerd cannot make /workspace/agent, and no container starts")


STATED = ("all_squash", "anonuid=1000", "anongid=1000")


def test_files_that_are_anothers_have_the_rule_and_the_way_out() -> None:
    finding = diagnose(replace(GOOD, created=[ROOT] * 5), plan())
    assert finding is not None
    assert finding.text == (
        "what the host process creates belongs to 0:0 and not to the agent (1000:1000): 10.0.0.1:/srv/pods/oslo is not "
        "exported to this machine with all_squash,anonuid=1000,anongid=1000. With no_root_squash this happens: the "
        "agent acts as 1000:1000; outbound.db is 0:0 0644, which gives others no rw: the agent's container exits with "
        "code 1: attempt to write a readonly database. Run again: nfs1 then exports with "
        "all_squash,anonuid=1000,anongid=1000. After a change of the export this machine still holds old answers: "
        "echo 2 > /proc/sys/vm/drop_caches"
    )


@pytest.mark.parametrize(
    ("owner", "rule"),
    [
        (NOBODY, ". With root_squash this happens: "),
        ((7, 7), ". With root_squash,anonuid=7,anongid=7 this happens: "),
    ],
)
def test_the_squash_that_makes_files_anothers_is_named(owner: tuple[int, int], rule: str) -> None:
    unmanaged = {"pods_server": "192.0.2.7", "pods_export": "/export/a", "pods_export_options": list(STATED)}
    finding = diagnose(replace(GOOD, created=[owner] * 5), plan(**unmanaged))
    assert finding is not None
    assert finding.cause == "squash"
    assert rule in finding.text
    assert f". Let the server export with {','.join(STATED)}. After" in finding.text


def test_what_is_nobodys_by_statement_is_no_lost_mapping() -> None:
    """all_squash to nobody, stated so, where ids are mapped by name: the agent's files are rightly nobody's."""
    stated = plan(pods_export_options=["all_squash"], nanoclaw_user="root")
    assert stated.stored_agent.uid == NOBODY[0]
    assert diagnose(replace(GOOD, created=[NOBODY] * 5, id_mapping=True), stated) is None


CHOWN = {"pods_access": "chown"}
GUARDED = replace(GOOD, created=[ROOT] * 5, settled=[A] * 5, waited=0.4, guard_says="watching 3 directories")


def failed(who: str, error: str, text: str = "", what: str = "do it") -> dict[str, Any]:
    return {"steps": [Step(who, what, error, text)]}


def test_a_host_that_is_right_has_no_finding_and_one_line() -> None:
    assert diagnose(GOOD, plan()) is None
    assert summary(GOOD, plan()) == (
        "verified | squash | host 0:0 | agent 1000:1000 wrote in process and container "
        "| 3 sessions, 2 groups writable | 12.5 s"
    )
    part = summary(replace(GOOD, survey=Surveyed(3, 2, 0, [], [], complete=False)), plan())
    assert "3 sessions, 2 groups writable of those there was time for | 12.5 s" in part
    assert diagnose(GUARDED, plan(**CHOWN)) is None
    assert "guard took 0.4 s (watching 3 directories)" in summary(GUARDED, plan(**CHOWN))


REFUSED = Refused("/opt/nanoclaw/data/v2-sessions/ag/s/outbound.db", "EACCES", (33, 33))


@pytest.mark.parametrize(
    ("change", "cause", "says"),
    [
        ({"missing": ["/pods"]}, "mount missing", "/pods"),
        (failed("host", "ETIMEDOUT", "no end within 40 s"), "server silent", "10.0.0.1:/srv/pods/oslo"),
        ({"mounts": {"s": replace(NFS, options=["ro"])}}, "read only mount", "remount,rw"),
        (failed("host", "EROFS", "Read-only file system"), "read only mount", "export it rw"),
        (failed("host", "ENOSPC"), "no space", "no space is left"),
        (failed("agent", "SQLITE", "database or disk is full"), "no space", "free some there"),
        (failed("host", "EDQUOT"), "no space", "quota of uid 1000"),
        ({"space": Space(1, 0)}, "no space", "no inodes"),
        ({"created": [NOBODY] * 5, "id_mapping": True}, "id mapping", "idmapd.conf"),
        ({"created": [], **failed("host", "EACCES", "/opt/x")}, "squash", "all_squash,anonuid=1000,anongid=1000"),
        (failed("dockerd", "EACCES"), "squash", "dockerd cannot start a container"),
        (
            {"created": [], **failed("host", "EACCES", "/opt/x")},
            "squash",
            "With root_squash this happens: the server maps the host process (0:0) to 65534:65534 (root_squash)",
        ),
        ({"created": [ROOT] * 5}, "squash", "belongs to 0:0 and not to the agent (1000:1000)"),
        ({"created": [NOBODY] * 5}, "squash", "belongs to 65534:65534"),
        ({"container": Container("ran", ids=(1001, 1002))}, "wrong id", "nanoclaw_image_gid to 1002"),
        ({"container": Container("no docker", "Cannot connect")}, "no docker", "Cannot connect"),
        ({"container": Container("no image")}, "image missing", "nanoclaw-agent-v2-3282970f:latest"),
        ({"container": Container("failed", "a\nb\nc\n", 125)}, "container", "code 125: b / c"),
        ({"container": Container("unfinished", "ok x", 137, A)}, "container unfinished", "last step, code 137"),
        ({"container": Container("unfinished", "ok x", None, A)}, "container unfinished", "last step, no end in time"),
        ({"relied": ["process"]}, "not tried", "wrote nothing in its container"),
        (failed("container", "EXIT", "Permission denied", "touch .heartbeat"), "owner", "cannot touch .heartbeat"),
        ({"survey": Surveyed(3, 1, 4, [REFUSED], [])}, "owner", "outbound.db (33:33)"),
        ({"survey": Surveyed(3, 1, 0, [], ["/s/outbound.db-journal"])}, "hot journal", "sqlite3 /s/outbound.db "),
        ({"left": ["/s/.nanoclaw-pods-probe-1"]}, "scratch left", "/s/.nanoclaw-pods-probe-1"),
    ],
)
def test_each_cause_is_named(change: dict[str, Any], cause: str, says: str) -> None:
    finding = diagnose(replace(GOOD, **change), plan())
    assert finding is not None
    assert finding.cause == cause
    assert says in finding.text


@pytest.mark.parametrize(
    ("change", "cause", "says"),
    [
        ({"settled": [ROOT] * 5, "guard": "inactive", "chown": None}, "guard", "it is inactive"),
        ({"settled": [ROOT] * 5, "guard": "active", "chown": "EPERM"}, "squash", "no_root_squash"),
        ({"settled": [NOBODY] * 5, "guard": "active", "chown": "EINVAL"}, "id mapping", BROKEN_MAPPING),
    ],
)
def test_a_failed_guard_differs_from_a_server_that_forbids_chown(change: dict[str, Any], cause: str, says: str) -> None:
    finding = diagnose(replace(GUARDED, **change), plan(**CHOWN))
    assert finding is not None
    assert (finding.cause, says in finding.text) == (cause, True)


def test_a_hot_journal_is_named_before_owners() -> None:
    """It makes a database read-only whatever its mode; it is named before other causes."""
    report = replace(GOOD, survey=Surveyed(3, 1, 2, [REFUSED], ["/s/inbound.db-journal"]))
    finding = diagnose(report, plan())
    assert finding is not None
    assert finding.cause == "hot journal"
    assert "chown" not in finding.text


@pytest.mark.parametrize("who", ["root", "host"])
def test_a_step_with_another_error_is_named_with_its_output(who: str) -> None:
    """No id, no space, no server: the error is reported as it is, and the agent is not named."""
    finding = diagnose(replace(GOOD, **failed(who, "EIO", "Input/output error", "make a session")), plan())
    assert finding is not None
    assert (finding.cause, finding.text) == ("owner", f"the {who} cannot make a session: Input/output error")


@pytest.mark.parametrize("who", ["agent", "container"])
def test_a_step_of_the_agent_is_named_with_the_owners_of_a_new_session(who: str) -> None:
    steps = failed(who, "EXIT", "Permission denied", "touch .heartbeat")
    finding = diagnose(replace(GUARDED, **steps, settled=[A, ROOT, A]), plan(**CHOWN))
    assert finding is not None
    assert finding.text == (
        f"the {who} (1000:1000) cannot touch .heartbeat: Permission denied; a new session is 1000:1000, 0:0's"
    )


def test_what_an_agent_cannot_do_comes_before_what_the_host_cannot() -> None:
    steps = [Step("host", "clean up after the agent", "EIO", "x"), Step("agent", "read inbound.db", "EACCES", "y")]
    finding = diagnose(replace(GOOD, steps=steps), plan())
    assert finding is not None and "the agent (1000:1000) cannot read inbound.db: y" in finding.text


def test_scratch_that_is_left_is_named_beside_the_cause() -> None:
    finding = diagnose(replace(GOOD, missing=["/pods"], left=["/s/x"]), plan())
    assert finding is not None
    assert finding.text.endswith("scratch that could not be removed: /s/x")
