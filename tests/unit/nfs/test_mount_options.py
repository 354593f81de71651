"""Options as the kernel shows them, against the desired ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.model.nfs.mount_options import MOUNT_FLAGS, by_remount, differences, normal, sentence, without_sizes

# Lines that Linux 6.1 showed for the options before them, mounted as the role does.
SHOWN = {
    "vers=4.2,proto=tcp,hard,nosuid,nodev,_netdev": "rw,nosuid,nodev,relatime,vers=4.2,rsize=65536,wsize=65536,"
    "namlen=255,hard,proto=tcp,timeo=600,retrans=2,sec=sys,clientaddr=10.0.0.2,local_lock=none,addr=10.0.0.1",
    "vers=4.2,proto=tcp,hard,nosuid,nodev,_netdev,lookupcache=positive,noatime": "rw,nosuid,nodev,noatime,vers=4.2,"
    "rsize=65536,wsize=65536,namlen=255,hard,proto=tcp,timeo=600,retrans=2,sec=sys,clientaddr=10.0.0.2,"
    "lookupcache=pos,local_lock=none,addr=10.0.0.1",
    "vers=4.2,proto=tcp,hard,timeo=50,acregmax=20,noac,softreval,nosharecache": "rw,relatime,sync,vers=4.2,rsize=65536,"
    "wsize=65536,namlen=255,acregmin=0,acregmax=0,acdirmin=0,acdirmax=0,hard,softreval,noac,nosharecache,proto=tcp,"
    "timeo=50,retrans=2,sec=sys,clientaddr=10.0.0.2,local_lock=none,addr=10.0.0.1",
    "vers=4.1,proto=tcp,hard,sync,actimeo=7,fsc,nordirplus,nocto,lookupcache=none,noacl,wsize=4096,rsize=1500": "rw,"
    "relatime,sync,vers=4.1,rsize=1024,wsize=4096,namlen=255,acregmin=7,acregmax=7,acdirmin=7,acdirmax=7,hard,nocto,"
    "nordirplus,proto=tcp,timeo=600,retrans=2,sec=sys,clientaddr=10.0.0.2,fsc,lookupcache=none,local_lock=none,"
    "addr=10.0.0.1",
    "vers=4.2,proto=tcp,hard,nosuid,nodev,_netdev,nconnect=4,retry=1,x-systemd.mount-timeout=9,port=2049": "rw,nosuid,"
    "nodev,relatime,vers=4.2,rsize=65536,wsize=65536,namlen=255,hard,proto=tcp,nconnect=4,timeo=600,retrans=2,sec=sys,"
    "clientaddr=10.0.0.2,local_lock=none,addr=10.0.0.1",
    "vers=3,proto=tcp,hard,nosuid,nodev,_netdev": "rw,nosuid,nodev,relatime,vers=3,rsize=65536,wsize=65536,namlen=255,"
    "hard,proto=tcp,timeo=600,retrans=2,sec=sys,mountaddr=10.0.0.1,mountvers=3,mountport=46643,mountproto=tcp,"
    "local_lock=none,addr=10.0.0.1",
    "vers=4.2,proto=tcp6,hard,nosuid,nodev,_netdev": "rw,nosuid,nodev,relatime,vers=4.2,rsize=262144,wsize=262144,"
    "namlen=255,hard,proto=tcp6,timeo=600,retrans=2,sec=sys,clientaddr=fd00::2,local_lock=none,addr=fd00::1",
}
PLAIN, PLAIN_SHOWN = next(iter(SHOWN.items()))
VALUES = st.sampled_from(
    (
        *("nosuid", "noexec", "ro", "noatime", "noac", "nocto", "fsc", "softreval", "sync", "actimeo=9", "acregmax=4"),
        *("nconnect=2", "lookupcache=none", "lookupcache=positive", "timeo=100", "retrans=5", "rsize=8192"),
        *("wsize=4096", "_netdev", "retry=3", "x-a=b", "nofail"),
    )
)


@pytest.mark.parametrize(("desired", "live"), SHOWN.items())
def test_live_options_equal_the_desired_options(desired: str, live: str) -> None:
    assert differences(desired.split(","), live.split(",")) == {}


@given(st.lists(VALUES))
def test_options_do_not_differ_from_themselves(options: list[str]) -> None:
    assert differences(options, options) == {}


@given(
    st.lists(VALUES), st.sampled_from(["_netdev", "nofail", "retry=9", "x-systemd.idle-timeout=1", "bg", "defaults"])
)
def test_what_only_mount_reads_makes_no_difference(options: list[str], userspace: str) -> None:
    assert normal([*options, userspace]) == normal(options)


@pytest.mark.parametrize(
    ("option", "shown"),
    [
        ("soft", "hardness"),
        ("noac", "noac"),
        ("ro", "access"),
        ("nconnect=4", "nconnect"),
        ("lookupcache=none", "lookupcache"),
        ("actimeo=1", "acregmin"),
        ("acdirmax=5", "acdirmax"),
        ("nolock", "nolock"),
        ("noexec", "noexec"),
        ("sync", "sync"),
        ("local_lock=all", "local_lock"),
    ],
)
def test_live_option_that_is_not_desired_differs(option: str, shown: str) -> None:
    live = [o for o in PLAIN_SHOWN.split(",") if o != "hard" or option != "soft"]
    differing = differences(PLAIN.split(","), [*live, option])
    assert ("errors" if shown == "hardness" else shown) in differing


@pytest.mark.parametrize("option", ["lookupcache=positive", "noac", "nconnect=4", "actimeo=30", "timeo=50", "noexec"])
def test_desired_option_that_is_not_live_differs(option: str) -> None:
    assert differences([*PLAIN.split(","), option], PLAIN_SHOWN.split(","))


@given(st.integers(1024, 2**20), st.integers(1024, 2**20))
def test_a_size_that_the_server_made_smaller_is_no_difference(desired: int, live: int) -> None:
    differing = differences([f"rsize={desired}"], [f"rsize={live}"])
    assert bool(differing) == (live > max(desired, 4096))


def test_another_version_or_transport_differs() -> None:
    live = PLAIN_SHOWN.replace("vers=4.2", "vers=4.1").replace("proto=tcp", "proto=tcp6").split(",")
    differing = differences(PLAIN.split(","), live)
    assert differing == {"vers": ("4.1", "4.2"), "proto": ("tcp6", "tcp")}
    assert sentence(differing) == "proto is tcp6 and should be tcp, vers is 4.1 and should be 4.2"


def test_an_option_that_the_kernel_does_not_show_is_not_judged() -> None:
    assert differences([*PLAIN.split(","), "trunkdiscovery", "xprtsec=none"], PLAIN_SHOWN.split(",")) == {}


@pytest.mark.parametrize(
    ("names", "yes"),
    [
        (["nosuid", "nodev"], True),
        (["access", "noatime", "noexec"], True),
        (["nosuid", "vers"], False),
        (["sec"], False),
    ],
)
def test_only_flags_of_a_mount_go_by_remount(names: list[str], yes: bool) -> None:
    assert by_remount(names) is yes


def test_a_remount_repeats_no_size_and_nothing_for_userspace() -> None:
    options = ["vers=4.2", "hard", "_netdev", "rsize=1048576", "wsize=65536", "port=2049", "nosuid"]
    assert without_sizes(options) == ["vers=4.2", "hard", "nosuid"]


@pytest.mark.parametrize(
    ("option", "form"),
    [
        *(
            (name, {name: "on"})
            for name in (
                *("nosuid", "nodev", "noexec", "noatime", "nodiratime", "sync", "nocto", "nolock", "noacl"),
                *("nordirplus", "nosharecache", "noresvport", "softreval", "fsc", "migration"),
            )
        ),
        ("noac", {"noac": "on", "sync": "on", "acregmin": "0", "acregmax": "0", "acdirmin": "0", "acdirmax": "0"}),
        ("actimeo=7", dict.fromkeys(("acregmin", "acregmax", "acdirmin", "acdirmax"), "7")),
        ("ro", {"access": "ro"}),
        ("rw", {}),
        ("hard", {}),
        ("soft", {"errors": "soft"}),
        ("softerr", {"errors": "softerr"}),
        ("vers=4", {"vers": "4.0"}),
        ("nfsvers=4.1", {"vers": "4.1"}),
        ("lookupcache=pos", {"lookupcache": "positive"}),
        ("lookupcache=positive", {"lookupcache": "positive"}),
        ("lookupcache=none", {"lookupcache": "none"}),
        ("vendor", {"vendor": "on"}),
        ("vendor=1", {"vendor": "1"}),
        ('context="a:b:c:s0:c1,c2"', {"context": "a:b:c:s0:c1,c2"}),
        *(
            (option, {})
            for option in (
                *("_netdev", "auto", "noauto", "nofail", "defaults", "user", "nouser", "users", "owner", "group", "bg"),
                *("fg", "retry=1", "comment=a", "port=2049", "mountport=1", "mountproto=tcp", "mountvers=3"),
                *("mounthost=a", "mountaddr=a", "addr=a", "clientaddr=a", "x-systemd.automount", "x-a=b"),
            )
        ),
    ],
)
def test_an_option_differs_from_the_default_in_this_alone(option: str, form: dict[str, str]) -> None:
    default, changed = normal([]), normal([option])
    assert {name: value for name, value in changed.items() if default.get(name) != value} == form
    assert set(default) <= set(changed)


@pytest.mark.parametrize(
    ("option", "opposite"),
    [
        *(
            (option, f"no{option}")
            for option in (
                *("suid", "dev", "exec", "atime", "diratime", "ac", "cto", "lock", "acl", "rdirplus", "sharecache"),
                "resvport",
            )
        ),
        *(("relatime", "noatime"), ("async", "sync"), ("nosoftreval", "softreval"), ("nofsc", "fsc")),
        *(("nomigration", "migration"), ("rw", "ro"), ("hard", "soft")),
    ],
)
def test_of_opposites_the_last_one_counts(option: str, opposite: str) -> None:
    assert normal([option]) == normal([])
    if option != "rw":  # a mount that was read-only once has that in each of its lines
        assert normal([opposite, option]) == normal([])
    assert normal([option, opposite]) == normal([opposite])
    assert normal(["ro", "rw"])["access"] == "ro"


def test_what_is_on_by_default_is_spelled_out() -> None:
    numbers = {"acregmin": "3", "acregmax": "60", "acdirmin": "30", "acdirmax": "60", "nconnect": "1"}
    spelled_out = {"access": "rw", "errors": "hard", "lookupcache": "all", "sec": "sys", "local_lock": "none"}
    assert {name: value for name, value in normal([]).items() if value != "off"} == {
        **numbers,
        **spelled_out,
        "max_connect": "1",
    }


@pytest.mark.parametrize(
    ("names", "yes"),
    [
        (["access", "nosuid", "nodev", "noexec", "noatime", "nodiratime"], True),
        ([], True),
        *(([name], False) for name in ("vers", "sync", "noac", "rsize", "nconnect", "proto", "lookupcache", "ro")),
    ],
)
def test_a_remount_changes_flags_of_the_mount_alone(names: list[str], yes: bool) -> None:
    assert by_remount(names) is yes
    assert frozenset({"ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime"}) == MOUNT_FLAGS


def test_access_control_lists_are_no_matter_of_nfsv4() -> None:
    assert differences(["vers=4.2", "noacl"], ["vers=4.2"]) == {}
    assert differences(["vers=3", "noacl"], ["vers=3"]) == {"noacl": ("off", "on")}
    assert differences(["noacl"], []) == {"noacl": ("off", "on")}


@pytest.mark.parametrize(
    ("desired", "live", "differs"),
    [
        ("8192", "8192", False),
        ("8192", "4096", False),
        ("8192", "8193", True),
        ("1024", "4096", False),
        ("1024", "4097", True),
        ("x", "1", True),
        ("1", "x", True),
    ],
)
@pytest.mark.parametrize("name", ["rsize", "wsize"])
def test_size_above_the_desired_one_differs(name: str, desired: str, live: str, differs: bool) -> None:
    expected = {name: (live, desired)} if differs else {}
    assert differences([f"{name}={desired}"], [f"{name}={live}"]) == expected
