"""What one machine's settings are refused for, each by itself.

`host_draft.py` and `server_draft.py` refuse what several settings of a machine decide together, such as its ids and its
server. `conflicts.py` compares machines.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from tasks.model.fleet.mount_settings import mount_option_problems
from tasks.model.fleet.plan import BOUND, HOSTS, SERVERS, Machine, Problem, lies_in
from tasks.model.fleet.service_checks import environment, gateway, image, image_archive
from tasks.model.fleet.settings import AUTO, SECRET, HostSettings, ServerSettings, WrongSettingError
from tasks.model.fleet.show_value import limited, sounds_secret
from tasks.model.fleet.system_paths import in_system, is_shared, of_kernel, of_role
from tasks.model.fleet.unknown_keys import misspelt_groups, unknown_keys
from tasks.model.problem import SettingProblem, SettingProblems
from tasks.model.systemd_names import UNIT_NAME_MAX, unit_name


def check_settings(machine: Machine) -> tuple[ServerSettings | HostSettings | None, list[Problem]]:
    """The machine's settings, if it has a role, and every problem that they have.

    Settings with wrong values are there in part: to read a wrong one raises WrongSettingError, so that a
    check which rests on it says nothing, and every other check is made.
    """
    problems = [*unknown_keys(machine), *misspelt_groups(machine)]
    roles = [group for group in (SERVERS, HOSTS) if group in machine.groups]
    if len(roles) == 2:
        text = f"is in both {SERVERS} and {HOSTS}: agents on the server itself cannot be kept from its exports; take it"
        return None, [*problems, Problem(machine.name, "groups", f"{text} out of one", "two-roles")]
    if not roles:
        return None, problems
    model = ServerSettings if roles == [SERVERS] else HostSettings
    known = {key: value for key, value in machine.data.items() if key in model.model_fields}
    try:
        settings = model.model_validate(known)
    except ValidationError as error:
        wrong = {str(detail["loc"][0]) for detail in error.errors(include_url=False)}
        problems += [_of_machine(machine, _value_problem(detail)) for detail in error.errors(include_url=False)]
        settings = model.model_validate({key: value for key, value in known.items() if key not in wrong})
        settings.forget(wrong)
    for check in _SERVER_CHECKS if isinstance(settings, ServerSettings) else _HOST_CHECKS:
        with suppress(WrongSettingError):
            problems += [_of_machine(machine, problem) for problem in check(settings)]
    return settings, problems


def _of_machine(machine: Machine, problem: SettingProblem) -> Problem:
    return Problem(machine.name, problem.key, problem.text, problem.reason)


def _value_problem(detail: Any) -> SettingProblem:
    """The key, the reason and the text for an error of pydantic's. The value is shown, unless it may be secret."""
    key, *inner = (part if isinstance(part, str) else limited(part) for part in detail["loc"])
    value, context = detail["input"], detail.get("ctx", {})
    if detail["type"] == "value_error":
        accepts, reason = str(context["error"]), context["error"].reason
    elif detail["type"] == "literal_error":
        accepts, reason = context["expected"] + ("" if isinstance(value, str) else "; as text, in quotes"), "no-choice"
    else:
        accepts, reason = detail["msg"].removeprefix("Input should be "), "no-value"
    shown = limited(value)
    if key in ("nanoclaw_repository", "nanoclaw_gateway_server"):
        shown = re.sub(r"[^/\s'\"]*@|\?[^'\"]*", "…", shown)
    # A service's environment is not secret, but somebody may put there what will be refused as such.
    if key in SECRET or (key == "nanoclaw_environment" and _may_be_secret(inner[:1], value)):
        shown = "a value that is not shown" if inner[-1:] != ["[key]"] else "a name that is not shown"
    place = ""
    if inner and inner[0].isdigit():
        place = f" (entry {int(inner[0]) + 1})"
    elif len(inner) == 1 and re.fullmatch(r"\w{1,80}", inner[0], re.ASCII):
        place = f" ({inner[0]})"
    return SettingProblem(key, reason, f"{shown}{place} is refused: expects {accepts}")


def _may_be_secret(name: list[str], value: Any) -> bool:
    try:
        return sounds_secret(" ".join([*name, str(value)]))
    except Exception:  # host data may hold any object, and str() calls its code
        return True


def _export_root(settings: ServerSettings) -> SettingProblems:
    if in_system(settings.nfs_export_root):
        text = f"{settings.nfs_export_root} is a directory of the system; use another, /srv/pods"
        yield SettingProblem("nfs_export_root", "export-root-in-system", text)


def _repository(settings: HostSettings) -> SettingProblems:
    """A full commit id is a digest of all that it names; a branch or a tag is what the network says that it is."""
    url, ref = settings.nanoclaw_repository, settings.nanoclaw_ref
    if not url.startswith(("http://", "git://")) or settings.nanoclaw_repository_unencrypted:
        return
    if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", ref):
        text = (
            f"{url.partition(':')[0]}:// is refused: anybody on the way can change the code; use https:// or ssh://, "
            "set nanoclaw_ref to a full commit id, or nanoclaw_repository_unencrypted to True"
        )
        yield SettingProblem("nanoclaw_repository", "unencrypted-repository", text)


def _root(settings: HostSettings) -> SettingProblems:
    yield from _own_directory("nanoclaw_root", settings.nanoclaw_root, "/opt/nanoclaw")


def _pods_path(settings: HostSettings) -> SettingProblems:
    yield from _own_directory("pods_path", settings.pods_path, "/pods")


def _own_directory(key: str, path: str, example: str) -> SettingProblems:
    if in_system(path):
        text = f"{path} lies in a directory of the system; use another, {example}"
        yield SettingProblem(key, "directory-of-system", text)
    if is_shared(path):
        text = f"{path} is not NanoClaw's alone; use a directory of its own, {example}"
        yield SettingProblem(key, "directory-shared", text)
    if len(unit_name(f"{path}/data/v2-sessions")) > UNIT_NAME_MAX:
        text = f"{path} is too long for the name of a mount unit (systemd.unit(5)); use a shorter one, {example}"
        yield SettingProblem(key, "mount-unit-too-long", text)


def _root_and_pods(settings: HostSettings) -> SettingProblems:
    root, pods = settings.nanoclaw_root, settings.pods_path
    if root == pods:
        text = f"is the mount point itself; use a directory in it, {pods}/nanoclaw-v2"
        yield SettingProblem("nanoclaw_root", "root-is-mount-point", text)
    elif lies_in(pods, root):
        text = f"{pods} lies inside the project root {root}; mount the pods elsewhere, /pods"
        yield SettingProblem("pods_path", "pods-in-root", text)


def _reachable(settings: HostSettings) -> SettingProblems:
    """Root's home lets nobody else in (0700)."""
    if settings.nanoclaw_user == "root":
        return
    for key, example in (("nanoclaw_root", "/opt/nanoclaw"), ("pods_path", "/pods")):
        with suppress(WrongSettingError):
            path = getattr(settings, key)
            if lies_in(path, "/root"):
                text = f"{path} lies in root's home, which {settings.nanoclaw_user} cannot enter; use {example}"
                yield SettingProblem(key, "home-of-root", text)


def _v1_dir(settings: HostSettings) -> SettingProblems:
    v1 = settings.nanoclaw_v1_dir
    if v1 is None and settings.nanoclaw_v1_rollback:
        text = "there is no v1 to go back to; set nanoclaw_v1_dir to its directory"
        yield SettingProblem("nanoclaw_v1_rollback", "rollback-without-v1", text)
    if v1 not in (None, AUTO) and (problem := v1_problem(str(v1), settings.nanoclaw_root, settings.pods_path)):
        yield problem


def v1_problem(v1: str, root: str, pods: str) -> SettingProblem | None:
    """Why a directory cannot be the v1 that is migrated, with the way out; None where it can."""
    if lies_in(v1, root) or lies_in(root, v1):
        text = (
            f"{v1} lies inside the project root {root}, or contains it, but a migration leaves v1 as it is: set "
            "nanoclaw_root to another directory"
        )
        return _wrong_v1("v1-and-root", text)
    if lies_in(pods, v1):
        return _wrong_v1("v1-holds-pods", f"{v1} would hold the pods, {pods}; set pods_path to another directory")
    if of_kernel(v1):
        text = f"{v1} lies on a virtual or temporary file system; name the directory on the disk"
        return _wrong_v1("v1-of-kernel", text)
    if of_role(v1):
        return _wrong_v1("v1-of-role", f"{v1} belongs to this role; name the directory that v1 was installed to")
    depth = 2 if v1.startswith(("/usr/", "/var/")) else 1  # deeper it may be v1's: /usr/local/nanoclaw
    if in_system(v1) and v1.count("/") <= depth:
        text = f"{v1} is a directory of the system; name the directory that v1 was installed to"
        return _wrong_v1("v1-of-system", text)
    if is_shared(v1):
        return _wrong_v1("v1-shared", f"{v1} holds more than v1; name the directory that v1 was installed to")
    tree = next((f"{pods}/{name}" for name in BOUND if lies_in(v1, f"{pods}/{name}")), None)
    if tree and not lies_in(root, pods):
        text = f"{v1} lies in {tree}, which v2 owns; move v1 beside it, to {pods}/nanoclaw, or elsewhere"
        return _wrong_v1("v1-in-tree", text)
    return None


def _wrong_v1(reason: str, text: str) -> SettingProblem:
    return SettingProblem("nanoclaw_v1_dir", reason, text)


_SERVER_CHECKS: tuple[Callable[[Any], SettingProblems], ...] = (_export_root,)
_HOST_CHECKS: tuple[Callable[[Any], SettingProblems], ...] = (
    mount_option_problems,
    image,
    image_archive,
    environment,
    gateway,
    _repository,
    _root,
    _pods_path,
    _root_and_pods,
    _reachable,
    _v1_dir,
)
