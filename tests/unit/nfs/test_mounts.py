"""What is decided about the pods' mount, from its state."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from files.pods.nfs.mount_state import Beneath, FstabLine, Mount, MountState, Unit
from tasks.model.nfs.mount_options import sentence
from tasks.model.problem import UnfitError
from tests.builders import host_plan
from tests.unit.nfs.mount_cases import FINISHED, GROUPS, PLAN, groups, live, pods


def test_a_machine_that_is_right_needs_nothing() -> None:
    assert pods(PLAN, FINISHED).settled
    assert groups(PLAN, FINISHED).settled


def test_a_bare_machine_gets_everything_and_no_flush() -> None:
    units = {path: Unit(None, "inactive", False, False) for path in FINISHED.units}
    bare = replace(FINISHED, units=units, stamp=None)
    decision = pods(PLAN, bare, mounts=[], beneath=Beneath("absent"))
    assert (decision.action, decision.write, decision.reload, decision.enable) == ("mount", True, True, True)
    assert (decision.seal, decision.stamp, decision.flush) == (True, True, False)


def test_flags_of_the_mount_go_by_remount() -> None:
    decision = pods(PLAN, FINISHED, mounts=[live(PLAN, "ro")])
    assert (decision.action, decision.reasons) == ("remount", ("access is ro and should be rw",))


@pytest.mark.parametrize("option", ["soft", "noac", "lookupcache=none", "nconnect=4", "vers=4.1"])
def test_everything_else_is_mounted_anew(option: str) -> None:
    assert pods(PLAN, FINISHED, mounts=[live(PLAN, option)]).action == "cycle"


def test_what_mounting_anew_did_not_change_interrupts_no_agent_again() -> None:
    tried = replace(FINISHED, tried=sentence({"nconnect": ("4", "1")}) + "\n")
    with pytest.raises(UnfitError, match=r"nconnect is 4 and should be 1, which a new mount did not change"):
        pods(PLAN, tried, mounts=[live(PLAN, "nconnect=4")])
    assert pods(PLAN, tried, mounts=[live(PLAN, "nconnect=5")]).action == "cycle"
    assert pods(PLAN, tried).forget
    assert not pods(PLAN, tried).settled


def test_a_stale_handle_is_mounted_anew_by_force() -> None:
    decision = pods(PLAN, FINISHED, answer="stale", identity=None)
    assert (decision.action, decision.lazy) == ("cycle", True)


@pytest.mark.parametrize(("answer", "detail"), [("silent", None), ("error", "Permission denied"), ("absent", "gone")])
def test_silent_server_stops_nobody(answer: Any, detail: Any) -> None:
    assert pods(PLAN, FINISHED, answer=answer, detail=detail, identity=None).action == "ask"


def test_a_missed_reload_and_a_missing_link_are_made_up() -> None:
    unit = FINISHED.units["/pods"]
    current = replace(FINISHED, units={**FINISHED.units, "/pods": replace(unit, needs_reload=True, enabled=False)})
    decision = pods(PLAN, current)
    assert (decision.action, decision.write, decision.reload, decision.enable) == ("keep", False, True, True)


def test_another_squash_flushes_what_the_client_remembers() -> None:
    decision = pods(host_plan(nanoclaw_user="root", pods_access="chown"), FINISHED)
    assert (decision.action, decision.flush, decision.stamp) == ("keep", True, True)


def test_a_mount_point_is_sealed_beneath_a_live_mount() -> None:
    decision = pods(PLAN, FINISHED, beneath=Beneath("directory", immutable=False))
    assert (decision.action, decision.seal) == ("keep", True)


def test_file_system_without_the_flag_is_accepted_with_a_note() -> None:
    decision = pods(PLAN, FINISHED, beneath=Beneath("directory", immutable=None))
    assert decision.settled
    assert "no immutable flag" in decision.notes[0]


@pytest.mark.parametrize(
    ("mounts", "why"),
    [
        ([Mount("10.0.0.9:/srv/pods/oslo", "nfs4", "/", [])], "10.0.0.9"),
        ([Mount("10.0.0.1:/srv/pods/other", "nfs4", "/", ["addr=10.0.0.1"])], "/srv/pods/other"),
        ([Mount("/dev/sdb1", "ext4", "/", ["rw"])], r"/dev/sdb1 \(ext4\)"),
        ([Mount("systemd-1", "autofs", "/", ["rw"])], "automount"),
        ([Mount("systemd-1", "autofs", "/", ["rw"]), live(PLAN)], "automount"),
        ([live(PLAN), Mount("none", "tmpfs", "/", ["rw"])], r"2 mounts are stacked at /pods: .* then none \(tmpfs\)"),
    ],
)
def test_what_is_mounted_there_by_others_is_never_touched(mounts: list[Mount], why: str) -> None:
    with pytest.raises(UnfitError, match=why):
        pods(PLAN, FINISHED, mounts=mounts)


def test_the_same_export_by_another_name_of_its_server_is_adopted() -> None:
    assert pods(PLAN, FINISHED, mounts=[live(PLAN, source="storage.example:/srv/pods/oslo/")]).settled


def test_files_beneath_are_refused_with_the_way_out() -> None:
    hidden = Beneath("directory", immutable=True, entries=("data", "lost"))
    with pytest.raises(
        UnfitError, match=r"/pods holds files .*: data, lost. The way out: stop who uses /pods, unmount"
    ):
        pods(PLAN, FINISHED, beneath=hidden)
    with pytest.raises(UnfitError, match=r"way out: move them away \(mv /pods /pods.local"):
        pods(PLAN, FINISHED, mounts=[], beneath=hidden)
    with pytest.raises(UnfitError, match=r"timestamps /opt/nanoclaw/groups.local/. /pods/groups/"):
        groups(PLAN, FINISHED, mounts=[], beneath=hidden)


@pytest.mark.parametrize(
    ("kind", "why"), [("link", "symbolic link"), ("other", "no directory"), ("unknown", "cannot be read")]
)
def test_a_mount_point_that_is_none_is_refused(kind: Any, why: str) -> None:
    with pytest.raises(UnfitError, match=why):
        pods(PLAN, FINISHED, mounts=[], beneath=Beneath(kind, "/pods"))


def fstab(source: str, *options: str, path: str = "/pods", addresses: tuple[str, ...] = ()) -> MountState:
    line = FstabLine(f"{source} {path} nfs {','.join(options)}", source, path, list(options), list(addresses))
    return replace(FINISHED, fstab=[line])


def test_fstab_line_for_the_same_export_is_adopted_with_a_note() -> None:
    decision = pods(PLAN, fstab("nas:/srv/pods/oslo", "rw", addresses=("10.0.0.1",)))
    assert decision.settled
    assert "has no effect any more" in decision.notes[0]


@pytest.mark.parametrize(
    ("current", "why"),
    [
        (fstab("nas:/srv/pods/oslo", "rw", addresses=("10.0.0.7",)), "mounts nas:/srv/pods/oslo at /pods"),
        (fstab("10.0.0.1:/other", "rw", addresses=("10.0.0.1",)), "mounts 10.0.0.1:/other at /pods"),
        (fstab("10.0.0.1:/srv/pods/oslo", "x-systemd.automount", addresses=("10.0.0.1",)), "automount"),
    ],
)
def test_another_fstab_line_is_refused(current: MountState, why: str) -> None:
    with pytest.raises(UnfitError, match=why):
        pods(PLAN, current)


def test_an_fstab_line_for_a_bind() -> None:
    assert groups(PLAN, fstab("/pods/groups", "bind", path=GROUPS)).notes
    with pytest.raises(UnfitError, match="something else"):
        groups(PLAN, fstab("/elsewhere", "bind", path=GROUPS))
