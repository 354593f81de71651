"""The walk over trees that an agent writes in: what it decides, and what it does to real files."""

from __future__ import annotations

import errno
import os
import posix
import stat
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from files.pods.trees import entry as tree_entry
from files.pods.trees.entry import OPEN_DIRECTORY, Rule, decide, ids_after_chown, open_below, open_directory
from files.pods.trees.find_mismatches import find_mismatches
from files.pods.trees.main import failure_messages
from files.pods.trees.protocol import CHOWN, KEPT, RIGHT, Tally, TreeReport, Verdict
from files.pods.trees.tree_counts import TreeCounts
from files.pods.trees.walk import MAX_DEPTH, Walk
from tests.processes import open_files
from tests.unit.trees.trees import A, needs_root

RULE = Rule(A, A, frozenset({0, 65534}), frozenset({0, 65534, A}))
IDS = st.sampled_from([0, 33, A, 1500, 65534])
KINDS = st.sampled_from(
    [stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFBLK, stat.S_IFCHR]
)


@pytest.fixture(scope="module", autouse=True)
def closes_at_once() -> Iterator[None]:
    """gevent's close, where another file's imports have patched the process, closes later: too late for umount."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "close", posix.close)
        yield


@given(KINDS, st.integers(0, 0o7777), st.integers(1, 3), IDS, IDS)
def test_decide_chowns_only_replaceable_owners_of_plain_entries(
    kind: int, mode: int, links: int, uid: int, gid: int
) -> None:
    verdict = decide(kind | mode, links, uid, gid, RULE)
    if verdict == CHOWN:
        assert uid in RULE.uids or uid == A
        assert kind in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)
        assert kind == stat.S_IFDIR or links == 1
        assert kind != stat.S_IFREG or not mode & 0o6000
    if verdict == RIGHT:
        assert uid == A


@given(KINDS, st.integers(0, 0o1777), st.integers(1, 3), IDS, IDS)
def test_entry_is_right_after_its_chown(kind: int, mode: int, links: int, uid: int, gid: int) -> None:
    if decide(kind | mode, links, uid, gid, RULE) == CHOWN:
        new_uid, new_gid = ids_after_chown(gid, RULE)
        assert decide(kind | mode, links, new_uid, new_gid, RULE) == RIGHT


def walk(root: Path, apply: bool = True) -> Counter[str]:
    return Counter(str(verdict) for verdict, _name in Walk(open_directory(str(root)), RULE, apply))


def owner(path: Path | str) -> tuple[int, int]:
    info = os.lstat(path)
    return info.st_uid, info.st_gid


@needs_root
def test_walk_chowns_everything_once_and_the_root_last(tree: Path) -> None:
    names = [name for _verdict, name in Walk(open_directory(str(tree)), RULE, True)]
    assert names[-1] == ""
    assert {owner(path) for path in (tree, *tree.rglob("*"))} == {(A, A)}
    changed = os.lstat(tree / "ag").st_ctime_ns
    assert walk(tree) == {"right": 5}
    assert os.lstat(tree / "ag").st_ctime_ns == changed


@needs_root
def test_chown_without_effect_is_a_failure(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on FAT with the option quiet: each run would report the same change again."""
    for name in ("chown", "fchown"):
        monkeypatch.setattr(os, name, lambda *_arguments: None)
    assert walk(tree) == {"kept": 5}
    report = TreeReport("/pods", "there", 5, [Tally(KEPT, 5, ["ag"])])
    assert failure_messages(report) == [
        "/pods: 5 entries, kept (the file system reports success and keeps the owner: its mount options decide who "
        "owns its files): ag"
    ]


@pytest.mark.parametrize(
    ("error", "why"),
    [
        ("EPERM", "the server or the file forbids it"),
        ("EINVAL", "ids are not mapped over NFSv4"),
        ("ELOOP", "a link took its place"),
        ("ENOTDIR", "a link or a file took its place"),
        ("EXDEV", "another file system is mounted there"),
        ("EIO", "see dmesg"),
    ],
)
def test_what_cannot_be_chowned_has_its_cause(error: str, why: str) -> None:
    failed, done = Verdict("failed", error=error), Tally(CHOWN, 3)
    quiet = Tally(Verdict("failed", error="EACCES"), 1)
    report = TreeReport("/pods", "there", 5, [done, Tally(failed, 2), quiet])
    assert failure_messages(report) == [f"/pods: 2 entries, {error} ({why}): the tree itself"]
    unfinished = TreeReport("/pods", "unfinished", 5, [done, Tally(failed, 2, ["ag", "b"]), quiet])
    assert failure_messages(unfinished) == [
        "/pods: not finished after 5 entries, 3 chowned: something keeps adding or moving entries. Run again to "
        "continue; if this repeats, stop the agents first",
        f"/pods: 2 entries, {error} ({why}): ag, b",
    ]


@needs_root
@pytest.mark.parametrize(("kept", "ends"), [(19, False), (20, True)])
def test_twenty_chowns_without_effect_end_the_walk(tree: Path, kept: int, ends: bool) -> None:
    counts = TreeCounts(open_directory(str(tree)), deadline=float("inf"))
    counts.add(KEPT, "ag", kept)
    assert counts.forbidden is ends


@needs_root
def test_count_changes_nothing(tree: Path) -> None:
    assert walk(tree, apply=False) == {"chown": 5}
    assert owner(tree / "ag") == (0, 0)


@needs_root
def test_links_are_chowned_and_not_followed(tree: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    (secret / "inner").mkdir(parents=True)
    (tree / "to-directory").symlink_to(secret)
    (tree / "to-file").symlink_to("/etc/passwd")
    (tree / "dangling").symlink_to("/app/skills/none")
    walk(tree)
    assert owner(secret) == owner(secret / "inner") == owner("/etc/passwd") == (0, 0)
    assert {owner(tree / name) for name in ("to-directory", "to-file", "dangling")} == {(A, A)}


@needs_root
def test_foreign_special_and_linked_entries_are_left_alone(tree: Path, tmp_path: Path) -> None:
    outside = tmp_path / "shadow"
    outside.write_text("secret")
    os.link(outside, tree / "linked")
    os.mkfifo(tree / "pipe")
    os.mknod(tree / "device", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (tree / "setuid").write_text("")
    (tree / "setuid").chmod(0o4755)
    (tree / "other").write_text("")
    os.chown(tree / "other", 33, 33)
    (tree / "lost+found").mkdir()
    verdicts = walk(tree)
    assert verdicts == {"chown": 5, "linked": 1, "special": 3, "foreign 33:33": 1}
    assert owner(outside) == (0, 0)
    assert stat.S_IMODE(os.lstat(tree / "setuid").st_mode) == 0o4755
    assert owner(tree / "other") == (33, 33)
    assert owner(tree / "lost+found") == (0, 0)


@needs_root
def test_hard_linked_file_stays_refused_after_its_other_name_is_gone(tree: Path, tmp_path: Path) -> None:
    """Root's file, replaced outside as passwd(1) does it: what the tree holds is the old one, with its content."""
    tree_entry.HARD_LINKED.clear()
    outside = tmp_path / "shadow"
    outside.write_text("secret")
    os.link(outside, tree / "kept")
    assert walk(tree)["linked"] == 1
    (tmp_path / "new").write_text("secret")
    (tmp_path / "new").rename(outside)
    assert os.lstat(tree / "kept").st_nlink == 1
    assert walk(tree) == {"right": 5, "linked": 1}
    assert owner(tree / "kept") == (0, 0)


@needs_root
def test_new_file_with_a_reused_inode_number_is_chowned(tree: Path, tmp_path: Path) -> None:
    tree_entry.HARD_LINKED.clear()
    (tree / "one").write_text("")
    os.link(tree / "one", tmp_path / "other")
    assert walk(tree)["linked"] == 1
    (key,) = tree_entry.HARD_LINKED
    (tree / "two").write_text("")
    tree_entry.HARD_LINKED[key[0], os.lstat(tree / "two").st_ino, key[2]] = None
    assert walk(tree) == {"right": 5, "linked": 1, "chown": 1}
    assert owner(tree / "two") == (A, A)


def test_memory_of_linked_files_is_bounded(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_entry, "MAX_HARD_LINKED", 3)
    tree_entry.HARD_LINKED.clear()
    for number in range(9):
        (tree / f"f{number}").write_text("")
        os.link(tree / f"f{number}", tree / f"g{number}")
    walk(tree, apply=False)
    assert len(tree_entry.HARD_LINKED) <= 3
    tree_entry.HARD_LINKED.clear()


@needs_root
def test_group_outside_the_rule_stays(tree: Path) -> None:
    os.chown(tree / "ag", 0, 998)
    walk(tree)
    assert owner(tree / "ag") == (A, 998)
    assert walk(tree) == {"right": 5}


@needs_root
@pytest.mark.parametrize("name", [b"\xff\xfe", b"a\nb", b"-rf", b" ", "ü".encode(), b"$(reboot)", b"x" * 255])
def test_hostile_names(tree: Path, name: bytes) -> None:
    path = os.fsencode(tree) + b"/" + name
    Path(os.fsdecode(path)).mkdir()
    Path(os.fsdecode(path), "file").write_text("")
    walk(tree)
    assert os.lstat(path).st_uid == os.lstat(path + b"/file").st_uid == A


def nest(root: Path, depth: int) -> None:
    fd = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)


@needs_root
def test_walk_closes_every_file(tree: Path) -> None:
    nest(tree, 300)
    try:
        assert walk(tree) == {"chown": 305}
        before = len(open_files())
        assert walk(tree) == {"right": 305}
        assert len(open_files()) <= before
    finally:
        subprocess.run(["rm", "-rf", tree], check=True)


@needs_root
@pytest.mark.parametrize("level", [0, 1, 2])
def test_unexpected_error_ends_the_walk_and_closes_every_file(tree: Path, level: int) -> None:
    """It is no verdict on an entry: a walk that went on would call a tree finished that is not."""

    def on_directory(_handle: int, parts: list[str]) -> None:
        if len(parts) == level:
            raise RuntimeError("a fault")

    before = len(open_files())
    verdicts = []
    with pytest.raises(RuntimeError, match="a fault"):
        verdicts += list(Walk(open_directory(str(tree)), RULE, True, on_directory))
    assert verdicts == []
    assert owner(tree) == (0, 0)
    assert len(open_files()) <= before


@needs_root
def test_errno_is_a_verdict_and_the_walk_continues(tree: Path) -> None:
    def on_directory(_handle: int, parts: list[str]) -> None:
        if parts == ["ag", "sess"]:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    verdicts = list(Walk(open_directory(str(tree)), RULE, True, on_directory))
    assert (Verdict("failed", error="EIO"), "sess") in verdicts and (CHOWN, "") in verdicts
    assert owner(tree / "ag" / "sess") == (0, 0)


@needs_root
def test_directory_moved_away_does_not_lead_outside(tree: Path, tmp_path: Path) -> None:
    nest(tree / "ag", 100)
    (tree / "zz").mkdir()
    depth = 0

    def on_directory(_handle: int, parts: list[str]) -> None:
        nonlocal depth
        depth = max(depth, len(parts))
        if len(parts) == 90:
            (tree / "ag" / "/".join("d" * 89)).rename(tmp_path / "moved")

    (tmp_path / "beside").mkdir()
    verdicts = Counter(str(verdict) for verdict, _ in Walk(open_directory(str(tree)), RULE, True, on_directory))
    assert depth == 101
    assert verdicts == {"chown": 5 + 100 + 1}
    assert owner(tree) == owner(tree / "zz") == owner(tree / "ag" / "sess") == (A, A)
    assert owner(tmp_path) == owner(tmp_path / "beside") == (0, 0)


@needs_root
def test_each_step_is_short_and_depth_is_limited(tree: Path) -> None:
    """Who looks at other things between two steps does not wait until a nest has an end."""
    nest(tree / "ag", MAX_DEPTH + 10)
    try:
        depth, deepest = 0, 0

        def on_directory(_handle: int, _parts: list[str]) -> None:
            nonlocal depth
            depth += 1

        verdicts: Counter[str] = Counter()
        for step in Walk(open_directory(str(tree)), RULE, True, on_directory).steps():
            deepest, depth = max(deepest, depth), 0
            if step:
                verdicts[str(step[0])] += 1
        assert deepest <= 2  # the root, and the first directory in it
        assert verdicts == {"chown": 5 + MAX_DEPTH - 2, "deep": 1}
    finally:
        subprocess.run(["rm", "-rf", tree], check=True)


@needs_root
def test_entry_swapped_for_a_link_is_not_followed(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The swap comes between the lstat(2) of a name and its use, for a directory and for a file."""
    real = os.stat

    def swap(path: Any, **options: Any) -> os.stat_result:
        info = real(path, **options)
        if path in ("outbox", "outbound.db") and not stat.S_ISLNK(info.st_mode):
            (tree / "ag" / "sess" / path).rename(tree / f"old-{path}")
            (tree / "ag" / "sess" / path).symlink_to("/etc" if path == "outbox" else "/etc/passwd")
        return info

    monkeypatch.setattr(os, "stat", swap)
    walk(tree)
    assert owner("/etc") == owner("/etc/passwd") == (0, 0)


@pytest.fixture
def other_file_system(tree: Path) -> Iterator[Path]:
    point = tree / "ag" / "mounted"
    point.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "none", point], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount here: {mounted.stderr}")
    yield point
    subprocess.run(["umount", point], check=True)


@needs_root
def test_walk_enters_no_other_file_system(tree: Path, other_file_system: Path) -> None:
    (other_file_system / "file").write_text("")
    assert walk(tree) == {"chown": 5, "elsewhere": 1}
    assert owner(other_file_system) == owner(other_file_system / "file") == (0, 0)


@needs_root
def test_walk_enters_no_bind_mount(tree: Path, tmp_path: Path) -> None:
    """A bind of the same file system has its device number."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_text("")
    bound = {tree / "ag" / "directory": tmp_path / "elsewhere", tree / "ag" / "file": tmp_path / "elsewhere" / "file"}
    (tree / "ag" / "directory").mkdir()
    (tree / "ag" / "file").write_text("")
    done = []
    try:
        for point, source in bound.items():
            if subprocess.run(["mount", "--bind", source, point], capture_output=True).returncode != 0:
                pytest.skip("cannot mount here")
            done.append(point)
        assert walk(tree, apply=False) == walk(tree) == {"chown": 5, "elsewhere": 2}
        with pytest.raises(OSError) as caught:
            open_below(open_directory(str(tree)), ["ag", "directory"])
        assert caught.value.errno == errno.EXDEV
        assert owner(tmp_path / "elsewhere") == owner(tmp_path / "elsewhere" / "file") == (0, 0)
    finally:
        for point in done:
            subprocess.run(["umount", point], check=True)


def test_root_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(OSError) as caught:
        open_directory(str(tmp_path / "link"))
    assert caught.value.errno in (errno.ELOOP, errno.ENOTDIR)


@needs_root
def test_link_on_the_way_is_followed_only_if_root_alone_can_have_made_it(tmp_path: Path) -> None:
    """As /var/run; never the last part of a path."""
    (tmp_path / "real/a/b").mkdir(parents=True)
    tmp_path.chmod(0o755)
    (tmp_path / "link").symlink_to("real")
    for below in ("a", "a/b"):
        fd = open_directory(f"{tmp_path}/link/{below}")
        assert os.fstat(fd).st_ino == (tmp_path / "real" / below).stat().st_ino
        os.close(fd)
    with pytest.raises(NotADirectoryError):
        open_directory(f"{tmp_path}/link")

    def refused() -> bool:
        try:
            os.close(open_directory(f"{tmp_path}/link/a"))
        except NotADirectoryError:
            return True
        return False

    for mode in (0o775, 0o757, 0o777):
        tmp_path.chmod(mode)
        assert refused(), f"others can write beside it: {mode:o}"
    tmp_path.chmod(0o755)
    os.chown(tmp_path / "link", A, A, follow_symlinks=False)
    assert refused(), "another has made it"
    os.chown(tmp_path / "link", 0, 0, follow_symlinks=False)
    os.chown(tmp_path, A, A)
    assert refused(), "another owns the directory"
    os.chown(tmp_path, 0, 0)
    assert not refused()


def test_open_below_follows_no_link(tree: Path) -> None:
    fd = open_below(open_directory(str(tree)), ["ag", "sess"])
    assert os.fstat(fd).st_ino == (tree / "ag" / "sess").stat().st_ino
    os.close(fd)
    (tree / "link").symlink_to("ag")
    with pytest.raises(OSError):
        open_below(open_directory(str(tree)), ["link", "sess"])


def test_scan_for_chown_lists_a_session_after_its_content(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client asks a server again for each name in a directory that was given before them."""
    for name in ("inbox/msg/note", "outbox/file"):
        (tree / "ag" / "sess" / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / "ag" / "sess" / name).write_text("")
    monkeypatch.chdir(tree)  # which a walk changes
    rule = Rule(A, A, frozenset({os.getuid()}), frozenset({os.getgid(), A}))
    root = os.open(tree, OPEN_DIRECTORY)
    try:
        names = [
            verdicts.name
            for verdicts in find_mismatches(root, rule, parallel=4, apply=True)
            if verdicts.name.startswith("ag/sess/")
        ]
    finally:
        os.close(root)
    assert {"ag/sess/inbox/msg/note", "ag/sess/outbox/file"} <= {*names}
    for name in names:
        parent = name.rpartition("/")[0]
        assert parent not in names or names.index(name) < names.index(parent)
