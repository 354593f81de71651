"""Each mount option that an operator may state: which are known, what they expect, and which break the role."""

from __future__ import annotations

import pytest

from tasks.model.fleet.mount_settings import mount_option_problems, of_managed_server, of_version, refusal
from tasks.model.fleet.settings import HostSettings

FLAGS = """
    sync async dirsync exec noexec atime noatime diratime nodiratime relatime norelatime strictatime nostrictatime
    lazytime nolazytime ac noac cto nocto lock acl noacl rdirplus nordirplus sharecache nosharecache resvport noresvport
    nosoftreval fsc nofsc migration nomigration intr nointr trunkdiscovery notrunkdiscovery posix noposix iversion
    noiversion
"""
NUMBERS = {
    "acregmin": (0, 86400),
    "acregmax": (0, 86400),
    "acdirmin": (0, 86400),
    "acdirmax": (0, 86400),
    "actimeo": (0, 86400),
    "nconnect": (1, 16),
    "max_connect": (1, 16),
    "timeo": (1, 36000),
    "retrans": (0, 1000),
    "retry": (0, 100000),
    "namlen": (1, 255),
    "port": (1, 65535),
    "mountport": (1, 65535),
    "mountvers": (3, 3),
}
SIZES = ("rsize", "wsize", "bsize")
VALUES = {
    "lookupcache": ["all", "none", "pos", "positive"],
    "rdirplus": ["none", "force"],
    "write": ["lazy", "eager", "wait"],
    "mountproto": ["tcp", "tcp6", "udp", "udp6"],
}
BREAKING = {
    "set pods_nfs_version": "vers nfsvers minorversion v2 v3 v4 v4.0 v4.2",
    "the role mounts over tcp": "proto udp udp6 tcp tcp6 rdma",
    "a soft mount loses writes silently (nfs(5)); the role sets hard": "soft softerr softreval",
    "an agent could plant a program that runs as root": "suid",
    "an agent could plant a device": "dev",
    "the role sets such options itself": "hard nosuid nodev rw _netdev auto fg defaults",
    "SQLite needs the server's locks": "nolock local_lock",
    "the service would start before the mount is there": "bg nofail noauto",
    "only root mounts the pods": "user users nouser owner group",
    "the role decides what is mounted": "bind rbind remount move loop offset sizelimit",
    "the role binds directories of the mount into the project root": "shared rshared private rprivate slave rslave "
    "unbindable runbindable",
    "agents write": "ro",
    "NanoClaw and pnpm keep links on the pods": "nosymfollow",
    "the export is sec=sys": "sec xprtsec",
    "the mount comes from the server of pods_server and from no other": "mounthost mountaddr addr",
    "the role's mount unit tells systemd how to treat the mount": "X-mount.mkdir x-mount.mkdir X-a x-systemd.automount "
    "comment",
    "the server decides who owns files": "uid gid umask fmask dmask idmap",
}


def refused(*options: str, unchecked: bool = False, **more: str) -> list[str]:
    """What is said of options, without the name of the setting and the advice."""
    key = "pods_mount_options_unchecked" if unchecked else "pods_mount_options"
    problems = list(mount_option_problems(HostSettings.model_validate({key: list(options), **more})))
    assert all(setting == key and text.endswith("; leave it out") for setting, _reason, text in problems), problems
    return [text.removesuffix("; leave it out").partition(" is refused: ")[2] for _setting, _reason, text in problems]


@pytest.mark.parametrize("option", FLAGS.split())
def test_a_flag_of_nfs_is_known_and_takes_no_value(option: str) -> None:
    assert refused(option) == []
    if option not in ("fsc", "rdirplus"):
        assert refused(f"{option}=1") == refused(f"{option}=1", unchecked=True) == ["takes no value"]


@pytest.mark.parametrize("option", NUMBERS)
def test_a_number_is_accepted_within_its_bounds_alone(option: str) -> None:
    low, high = NUMBERS[option]
    text = [f"expects a whole number from {low} to {high}"]
    for value in (low, high):
        assert refused(f"{option}={value}") == []
    for wrong in (str(low - 1), str(high + 1), f"0{high}", "many", "1" * 10, "1.0"):
        assert refused(f"{option}={wrong}") == refused(f"{option}={wrong}", unchecked=True) == text
    assert refused(option) == text


@pytest.mark.parametrize("option", SIZES)
def test_a_size_is_a_multiple_of_1024(option: str) -> None:
    for value in (1024, 2048, 65536, 1 << 20):
        assert refused(f"{option}={value}") == []
    for wrong in (0, 1, 1023, 1025, 1536, (1 << 20) + 1024):
        assert refused(f"{option}={wrong}") == ["expects a whole number from 1024 to 1048576, a multiple of 1024"]


@pytest.mark.parametrize("option", VALUES)
def test_an_option_with_fixed_values_accepts_these_alone(option: str) -> None:
    text = [f"expects one of {', '.join(VALUES[option])}"]
    for value in VALUES[option]:
        assert refused(f"{option}={value}") == []
    assert refused(f"{option}=some") == refused(f"{option}=some", unchecked=True) == text
    assert refused(option) == ([] if option in FLAGS.split() else text)


def test_a_cache_has_a_tag_or_none() -> None:
    assert refused("fsc", "fsc=pods.1_a-b") == []
    assert refused("fsc=/pods") == refused("fsc=a:b") == ["expects no value, or the tag of a cache"]


def test_an_address_of_the_client_is_one() -> None:
    assert refused("clientaddr=10.0.0.11", "clientaddr=fd00::11") == []
    assert refused("clientaddr=host", "clientaddr", "clientaddr=0.0.0.0") == ["expects an IP address of this host"] * 3


@pytest.mark.parametrize("option", ["context", "fscontext", "defcontext", "rootcontext"])
def test_a_context_has_three_parts_and_perhaps_a_range(option: str) -> None:
    for value in ("system_u:object_r:nfs_t", "system_u:object_r:nfs_t:s0", '"system_u:object_r:nfs_t:s0:c1,c2"'):
        assert refused(f"{option}={value}") == []
    text = ["expects a context, such as system_u:object_r:nfs_t:s0"]
    for wrong in ("s0", "system_u:object_r", "a::c"):
        assert refused(f"{option}={wrong}") == refused(f"{option}={wrong}", unchecked=True) == text


@pytest.mark.parametrize(("why", "names"), BREAKING.items())
def test_an_option_that_breaks_the_role_is_refused_whatever_its_value(why: str, names: str) -> None:
    for name in names.split():
        assert refusal(name) == refusal(f"{name}=1") == why
        assert refusal(f"{name}z") != why or name.startswith(("X-", "x-", "v"))
        if name[0] not in "X":  # capitals do not come as far as this
            assert refused(name) == refused(name, unchecked=True) == [why]


@pytest.mark.parametrize("option", ["timo=600", "vendor", "contexts=a:b:c", "xsec=sys", "noexecs"])
def test_an_option_that_the_role_does_not_know_is_left_to_the_kernel_by_the_explicit_word(option: str) -> None:
    unknown = "no option of nfs(5) that the role knows; correct it, or name it in pods_mount_options_unchecked"
    (_key, _reason, text), *none = mount_option_problems(HostSettings.model_validate({"pods_mount_options": [option]}))
    assert (text, none) == (f"{option!r} is refused: {unknown}", [])
    assert refused(option, unchecked=True) == []


@pytest.mark.parametrize("key", ["pods_mount_options", "pods_mount_options_unchecked"])
def test_all_options_together_fill_at_most_a_quarter_of_the_kernels_page(key: str) -> None:
    text = "is too long: the kernel takes one page of mount options; use at most 1024 characters"
    fits = [*["noatime"] * 127, "retry=1"]
    assert list(mount_option_problems(HostSettings.model_validate({key: fits}))) == []
    longer = HostSettings.model_validate({key: [*["noatime"] * 127, "retry=12"]})
    assert list(mount_option_problems(longer)) == [(key, "mount-options-too-long", text)]


@pytest.mark.parametrize("unchecked", [False, True])
@pytest.mark.parametrize(
    ("root", "on_pods"), [("/pods", True), ("/pods/a", True), ("/pods-of-others", False), ("/opt/nanoclaw", False)]
)
def test_programs_must_run_from_pods_that_hold_the_project_root(root: str, on_pods: bool, unchecked: bool) -> None:
    settings = {"pods_mount_options_unchecked" if unchecked else "pods_mount_options": ["noexec"]}
    problems = list(mount_option_problems(HostSettings.model_validate({**settings, "nanoclaw_root": root})))
    why = f"nanoclaw_root {root} is on the pods, and its programs run from there; leave it out"
    assert problems == [("pods_mount_options", "noexec-on-pods", f"'noexec' is refused: {why}")] * on_pods


@pytest.mark.parametrize("name", ["port", "mountport", "mountproto", "mountvers"])
def test_a_server_of_the_role_serves_on_one_port(name: str) -> None:
    assert of_managed_server(f"{name}=1") == "the server of the role serves NFS on port 2049"


def test_a_server_of_the_role_refuses_ports_above_1023() -> None:
    assert of_managed_server("noresvport") == "the role exports with secure, which refuses ports above 1023"
    assert of_managed_server("resvport") is of_managed_server("timeo=5") is None


@pytest.mark.parametrize("version", ["4.0", "4.1", "4.2", "3"])
@pytest.mark.parametrize("name", ["mountport", "mountproto", "mountvers", "namlen"])
def test_options_of_the_mount_protocol_have_a_meaning_in_nfsv3_alone(name: str, version: str) -> None:
    why = f"NFSv{version} has no MOUNT protocol and no such option (nfs(5))"
    assert of_version(f"{name}=3", version) == (None if version == "3" else why)


@pytest.mark.parametrize("version", ["4.0", "4.1", "4.2", "3"])
def test_only_nfsv4_0_calls_back_to_an_address(version: str) -> None:
    why = f"only NFSv4.0 calls back to an address (nfs(5)); this is {version}"
    assert of_version("clientaddr=10.0.0.1", version) == (None if version == "4.0" else why)
    for option in ("noacl", "acl", "nordirplus", "timeo=5"):
        assert of_version(option, version) is None
