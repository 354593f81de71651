"""What one machine's host data is refused for, by itself. `tasks.model.conflicts` judges machines together."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from tasks.model.mount_unit import UNIT_NAME_MAX, unit_name
from tasks.model.plan import HOSTS, SERVERS, Machine, Problem, lies_in
from tasks.model.settings import AUTO, SECRET, SETTINGS, HostSettings, ServerSettings, WrongSettingError

PREFIXES = ("nfs_", "pods_", "nanoclaw_")
"""Every setting of the role begins with one of these; such a key that is not known is a mistake."""

_limited = reprlib.Repr()
_limited.maxstring = _limited.maxother = 80

_SYSTEM = frozenset({"bin", "boot", "dev", "etc", "lib", "lib64", "proc", "run", "sbin", "sys", "tmp", "usr"})
_SHARED = frozenset({"/home", "/media", "/mnt", "/opt", "/root", "/srv", "/var"})
_SHARED_VAR = frozenset({"backups", "cache", "lib", "local", "lock", "log", "mail", "opt", "run", "spool", "tmp"})

_MOUNT_OPTIONS = {
    r"vers|nfsvers|minorversion|v[234][0-9.]*": "set pods_nfs_version",
    r"proto|udp|tcp6?|rdma|udp6": "the role mounts over tcp",
    r"soft|softerr|softreval": "a soft mount loses writes silently (nfs(5)); the role sets hard",
    r"suid": "an agent could plant a program that runs as root",
    r"dev": "an agent could plant a device",
    r"hard|nosuid|nodev|rw|_netdev|auto|fg|defaults": "the role sees to it",
    r"nolock|local_lock": "SQLite needs the server's locks",
    r"bg|nofail|noauto": "the service would start before the mount is there",
    r"users?|nouser|owner|group": "only root mounts",
    r"bind|rbind|remount|move|loop": "the role says what is mounted",
    r"ro": "agents write",
    r"sec|xprtsec": "the export is sec=sys",
    r"x-.*|comment": "the role's mount unit says how systemd treats the mount",
}
_ROLES_OWN = {
    "CONTAINER_IMAGE": "nanoclaw_image and nanoclaw_image_name say which image agents have",
    "HOME": "it is the home of nanoclaw_user, where NanoClaw looks for its own settings",
}
_SECRET_NAME = re.compile(r"(^|_)(API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.IGNORECASE)


def check_settings(machine: Machine) -> tuple[ServerSettings | HostSettings | None, list[Problem]]:
    """The machine's settings, if it has a role, and every problem that they have.

    Settings whose values are wrong are there in part: to read a wrong one raises WrongSettingError, so that a
    check which rests on it says nothing, and every other check is made.
    """
    problems = list(_unknown_keys(machine))
    roles = [group for group in (SERVERS, HOSTS) if group in machine.groups]
    if len(roles) == 2:
        text = f"is in both {SERVERS} and {HOSTS}: agents on the server itself cannot be kept from its exports; take it"
        return None, [*problems, Problem(machine.name, "groups", f"{text} out of one")]
    if not roles:
        return None, [*problems, *_misspelt_groups(machine)]
    model = ServerSettings if roles == [SERVERS] else HostSettings
    known = {key: value for key, value in machine.data.items() if key in model.model_fields}
    try:
        settings = model.model_validate(known)
    except ValidationError as error:
        wrong = {str(detail["loc"][0]) for detail in error.errors(include_url=False)}
        problems += [Problem(machine.name, *_in_words(detail)) for detail in error.errors(include_url=False)]
        settings = model.model_validate({key: value for key, value in known.items() if key not in wrong})
        settings.forget(wrong)
    for check in _SERVER_CHECKS if isinstance(settings, ServerSettings) else _HOST_CHECKS:
        with suppress(WrongSettingError):
            problems += [Problem(machine.name, key, text) for key, text in check(settings)]
    return settings, problems


def _unknown_keys(machine: Machine) -> Iterator[Problem]:
    for key in machine.data:
        if key in SETTINGS:
            continue
        near = difflib.get_close_matches(key, SETTINGS, n=1, cutoff=0.8)
        prefix = next((prefix for prefix in PREFIXES if key.startswith(prefix)), None)
        if near:
            yield Problem(machine.name, key, f"is no setting; did you mean {near[0]}?")
        elif prefix:
            known = ", ".join(sorted(name for name in SETTINGS if name.startswith(prefix)))
            yield Problem(machine.name, key, f"is no setting; those that begin with {prefix} are {known}")


def _misspelt_groups(machine: Machine) -> Iterator[Problem]:
    for group in machine.groups:
        for near in difflib.get_close_matches(group, (SERVERS, HOSTS), n=1, cutoff=0.9):
            yield Problem(machine.name, "groups", f"{group} is no group of the role; did you mean {near}?")


def _in_words(detail: Any) -> tuple[str, str]:
    """The key and the text for an error of pydantic's. What it was given is shown, unless it may be secret."""
    key, *inner = (str(part) for part in detail["loc"])
    given, context = detail["input"], detail.get("ctx", {})
    if detail["type"] == "value_error":
        accepts = str(context["error"])
    elif detail["type"] == "literal_error":
        accepts = context["expected"] + ("" if isinstance(given, str) else "; as text, in quotes")
    else:
        accepts = detail["msg"].removeprefix("Input should be ")
    shown = _limited.repr(given)
    if key == "nanoclaw_repository":
        shown = re.sub(r"[^/\s'\"]*@|\?[^'\"]*", "…", shown)
    # A service's environment is not secret, but somebody may put there what will be refused as such.
    if key in SECRET or (key == "nanoclaw_environment" and _sounds_secret(" ".join([*inner[:1], str(given)]))):
        shown = "a value that is not shown" if inner[-1:] != ["[key]"] else "a name that is not shown"
    place = ""
    if inner and inner[0].isdigit():
        place = f" (entry {int(inner[0]) + 1})"
    elif len(inner) == 1 and re.fullmatch(r"\w+", inner[0], re.ASCII):
        place = f" ({inner[0]})"
    return key, f"{shown}{place} is refused: expects {accepts}"


def _sounds_secret(text: str) -> bool:
    """Whether one of its words is a name that a secret would have."""
    return any(_SECRET_NAME.search(word) for word in re.findall(r"\w+", text))


def in_system(path: str) -> bool:
    """Whether a path lies in a directory that belongs to the operating system."""
    return path.split("/")[1] in _SYSTEM


def is_shared(path: str) -> bool:
    """Whether others than NanoClaw keep their things right in this directory (hier(7))."""
    above, _, name = path.rpartition("/")
    return path in _SHARED or (above == "/var" and name in _SHARED_VAR)


Found = Iterable[tuple[str, str]]


def _export_root(settings: ServerSettings) -> Found:
    if in_system(settings.nfs_export_root):
        yield "nfs_export_root", f"{settings.nfs_export_root} is a directory of the system; use another, /srv/pods"


def _mount_options(settings: HostSettings) -> Found:
    for option in settings.pods_mount_options:
        for names, why in _MOUNT_OPTIONS.items():
            if re.fullmatch(names, option.partition("=")[0]):
                yield "pods_mount_options", f"{option!r} is refused: {why}; leave it out"


def _image(settings: HostSettings) -> Found:
    name = settings.nanoclaw_image_name
    if settings.nanoclaw_image == "build" and name is not None:
        yield (
            "nanoclaw_image_name",
            'container/build.sh names what it builds; leave it out, or set nanoclaw_image to "pull"',
        )
    if settings.nanoclaw_image == "pull" and not re.search(r"@sha256:[0-9a-f]{64}$", name or ""):
        shown = f"{name!r} is refused" if name else "is needed"
        yield (
            "nanoclaw_image_name",
            f"{shown}: a pull expects name@sha256:DIGEST, since a tag may change under the fleet",
        )
    if settings.nanoclaw_image == "load" and name is None:
        yield "nanoclaw_image_name", "is needed: the name that the image has in nanoclaw_image_archive"


def _image_archive(settings: HostSettings) -> Found:
    if settings.nanoclaw_image == "load" and settings.nanoclaw_image_archive is None:
        yield "nanoclaw_image_archive", "is needed: a file on the host, as docker save makes it"
    if settings.nanoclaw_image != "load" and settings.nanoclaw_image_archive is not None:
        yield "nanoclaw_image_archive", 'is read for nanoclaw_image "load" only; set that, or leave it out'


def _environment(settings: HostSettings) -> Found:
    for name in settings.nanoclaw_environment:
        if name in _ROLES_OWN:
            yield "nanoclaw_environment", f"{name} is refused: {_ROLES_OWN[name]}; leave it out"
        if _sounds_secret(name):
            text = f"{name} sounds secret, and every user of the host can read a unit's environment; use nanoclaw_env"
            yield "nanoclaw_environment", text


def _root(settings: HostSettings) -> Found:
    yield from _own_directory("nanoclaw_root", settings.nanoclaw_root, "/opt/nanoclaw")


def _pods_path(settings: HostSettings) -> Found:
    yield from _own_directory("pods_path", settings.pods_path, "/pods")


def _own_directory(key: str, path: str, example: str) -> Found:
    if in_system(path):
        yield key, f"{path} lies in a directory of the system; use another, {example}"
    if is_shared(path):
        yield key, f"{path} is not NanoClaw's alone; use a directory of its own, {example}"
    if len(unit_name(f"{path}/data/v2-sessions")) > UNIT_NAME_MAX:
        yield key, f"{path} is too long for the name of a mount unit (systemd.unit(5)); use a shorter one, {example}"


def _root_and_pods(settings: HostSettings) -> Found:
    root, pods = settings.nanoclaw_root, settings.pods_path
    if root == pods:
        yield "nanoclaw_root", f"is the mount point itself; use a directory in it, {pods}/nanoclaw-v2"
    elif lies_in(pods, root):
        yield "pods_path", f"{pods} lies inside the project root {root}; mount the pods elsewhere, /pods"


def _v1_dir(settings: HostSettings) -> Found:
    v1, root = settings.nanoclaw_v1_dir, settings.nanoclaw_root
    if v1 is None and settings.nanoclaw_v1_rollback:
        yield "nanoclaw_v1_rollback", "there is no v1 to go back to; set nanoclaw_v1_dir to its directory"
    if v1 in (None, AUTO):
        return
    if lies_in(v1, root) or lies_in(root, v1):
        yield "nanoclaw_v1_dir", beside(v1, root)
    elif lies_in(settings.pods_path, v1):
        yield "nanoclaw_v1_dir", f"{v1} would hold the pods, {settings.pods_path}; set pods_path to another directory"


def beside(v1: str, root: str) -> str:
    """What is said of a v1 that is not beside v2."""
    return f"{v1} and the project root {root} lie in one another, and v1 stays as it is: set nanoclaw_root to another"


_SERVER_CHECKS: tuple[Callable[[Any], Found], ...] = (_export_root,)
_HOST_CHECKS: tuple[Callable[[Any], Found], ...] = (
    _mount_options,
    _image,
    _image_archive,
    _environment,
    _root,
    _pods_path,
    _root_and_pods,
    _v1_dir,
)
