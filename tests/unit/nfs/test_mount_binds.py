"""What is decided about binds of the pods, and about pods that are no mount."""

from __future__ import annotations

from dataclasses import replace

import pytest

from files.pods.nfs.mount_state import Beneath, Mount, Point, Unit
from tasks.model.nfs.mount_plan import binds_of
from tasks.model.nfs.mount_refusals import refuse_local
from tasks.model.problem import UnfitError
from tests.builders import host_plan
from tests.unit.nfs.mount_cases import FINISHED, GROUPS, GUARDED, PLAN, groups


def test_a_bind_of_what_is_no_longer_there_is_made_anew() -> None:
    assert groups(PLAN, FINISHED, identity="8:3").action == "cycle"
    assert groups(PLAN, FINISHED, answer="stale", identity=None).lazy
    assert groups(PLAN, replace(FINISHED, sources={**FINISHED.sources, "/pods/groups": None})).action == "cycle"


def test_a_bind_that_outlived_the_pods_is_made_anew() -> None:
    gone = replace(FINISHED.points["/pods"], mounts=[])
    left = replace(
        FINISHED,
        points={**FINISHED.points, "/pods": gone},
        sources=dict.fromkeys(FINISHED.sources),
        base=Mount("/dev/sda1", "ext4", "/", []),
        base_root="/pods",
    )
    assert groups(PLAN, left).action == "cycle"


def test_a_bind_that_lost_its_flags_is_remounted() -> None:
    shown = replace(FINISHED.points[GROUPS].mounts[0], options=["ro", "nosuid"])
    assert groups(PLAN, FINISHED, mounts=[shown]).action == "remount"


def test_another_mount_in_the_place_of_a_bind_is_refused() -> None:
    with pytest.raises(UnfitError, match="umount /opt/nanoclaw/groups"):
        groups(PLAN, FINISHED, mounts=[Mount("/dev/sdb1", "ext4", "/", ["rw"])])


def test_a_silent_server_makes_no_bind_anew() -> None:
    silent = replace(FINISHED, sources=dict.fromkeys(FINISHED.sources))
    assert groups(PLAN, silent, answer="silent", identity=None).action == "ask"


def test_local_pods_must_not_be_a_network_file_system() -> None:
    plan = host_plan(pods_server="local")
    with pytest.raises(UnfitError, match="pods_server says local"):
        refuse_local(plan, FINISHED)
    refuse_local(plan, replace(FINISHED, points={"/pods": Point([Mount("/dev/sdb", "xfs", "/", [])], "ok", GUARDED)}))


def test_local_bind_is_known_by_its_place_on_the_disk() -> None:
    plan = host_plan(pods_server="local")
    disk = Mount("/dev/sda1", "ext4", "/srv/pods/groups", ["rw", "nosuid", "nodev"])
    current = replace(
        FINISHED,
        points={**FINISHED.points, "/pods": Point([], "ok", Beneath("directory"))},
        units={mount.path: Unit(mount.text, "active", True, False) for mount in binds_of(plan)},
        base=Mount("/dev/sda1", "ext4", "/srv", []),
        base_root="/srv/pods",
    )
    assert groups(plan, current, mounts=[disk]).settled
    with pytest.raises(UnfitError):
        groups(plan, current, mounts=[replace(disk, root="/srv/pods/other")])


@pytest.mark.parametrize("kind", ["cifs", "ceph", "fuse.sshfs", "9p"])
def test_local_pods_must_not_be_a_file_system_of_another_machine(kind: str) -> None:
    mount = Mount("far:/pods", kind, "/", ["rw"], remote=True)
    with pytest.raises(UnfitError, match="pods_server says local"):
        refuse_local(host_plan(pods_server="local"), replace(FINISHED, points={"/pods": Point([mount], "ok", GUARDED)}))
