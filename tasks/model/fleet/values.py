"""The types of single setting values: what each accepts, in words that an error can repeat.

A validator raises WrongValueError with a reason and a phrase that follows "expects": first what is accepted, then why.
What passes is safe to stand in exports(5), in a systemd unit and in one quoted word of a command.
"""

import re
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from tasks.model.access.identity import HIGHEST_ID, NOBODY
from tasks.model.fleet import image_name
from tasks.model.fleet.addresses import machine_address
from tasks.model.fleet.git_names import GIT_REF, GIT_URL, git_ref, git_url
from tasks.model.fleet.mount_settings import CONTEXTS
from tasks.model.problem import WrongValueError
from tasks.model.text import command, environment, plain_text, word

_PATH = re.compile(r"(/[A-Za-z0-9._@+-]+)+")
_USER = re.compile(r"[a-z_](?:[a-z0-9_.-]{0,30}[a-z0-9_-])?")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_MOUNT_OPTION = re.compile(
    rf"({'|'.join(sorted(CONTEXTS))})=([A-Za-z0-9._:,-]+|\"[A-Za-z0-9._:,-]+\")"
    r"|[a-z0-9_][a-z0-9_.-]*(=[A-Za-z0-9._:/-]+)?"
)
_EXPORT_OPTION = re.compile(r"(no_)?(root|all)_squash|(anonuid|anongid)=(0|[1-9][0-9]{0,9})")
_SIZE = re.compile(r"[1-9][0-9]{0,5}[kMG]")
_HTTP = re.compile(
    r"https?://(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,253}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(?::[1-9][0-9]{0,4})?"
)
_CHANNEL = re.compile(r"[a-z][a-z0-9-]{0,40}")

PATH_LENGTH = 255
ROOT_LENGTH = 90
"""Longer, the Unix sockets in data/ would have a name of more than 107 bytes (unix(7), sun_path)."""


def _text(reason: str, pattern: re.Pattern[str], accepts: str) -> BeforeValidator:
    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise WrongValueError("no-text", f"{accepts}; as text, in quotes")
        if not pattern.fullmatch(value):
            raise WrongValueError(reason, accepts)
        return value

    return BeforeValidator(check)


def _accepts(reason: str, text: str) -> WrapValidator:
    """Says `text` whatever is wrong: one sentence for the type and the range."""

    def check(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise WrongValueError(reason, text) from None

    return WrapValidator(check)


def _list(reason: str, accepts: str, least: int = 0) -> BeforeValidator:
    def check(value: Any) -> list[Any]:
        if not isinstance(value, (list, tuple)) or len(value) < least:
            raise WrongValueError(reason, accepts)
        return list(value)

    return BeforeValidator(check)


def _mapping(value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise WrongValueError("no-mapping", 'a mapping of names to text, such as {"TZ": "Europe/Oslo"}')
    return value


def _plain_path(value: str) -> str:
    if any(part in (".", "..") for part in value.split("/")):
        raise WrongValueError("path-with-dots", "an absolute path without . or .. parts")
    if len(value) > PATH_LENGTH:
        raise WrongValueError("path-too-long", f"a path of at most {PATH_LENGTH} characters")
    return value


def _short(value: str) -> str:
    if len(value) > ROOT_LENGTH:
        raise WrongValueError(
            "root-too-long", f"a path of at most {ROOT_LENGTH} characters: NanoClaw's sockets below it allow no more"
        )
    return value


def _node_versions(value: Any) -> tuple[int, int]:
    accepts = "the lowest and the highest major version, such as (20, 24); not below 18"
    if not isinstance(value, (list, tuple)) or len(value) != 2 or any(type(part) is not int for part in value):
        raise WrongValueError("node-versions", accepts)
    low, high = value
    if not 18 <= low <= high <= 99:
        raise WrongValueError("node-versions", accepts)
    return low, high


def _env_value(value: Any) -> str:
    accepts = "one line of text"
    if not isinstance(value, str):
        raise WrongValueError("variable-no-text", f"{accepts}, in quotes")
    return plain_text(value, accepts)


def _image_name(value: Any) -> str:
    accepts = "a Docker image name by the grammar of references, such as registry.example.org/team/agent:1"
    if not isinstance(value, str):
        raise WrongValueError("image-name-no-text", f"{accepts}; as text, in quotes")
    if image_name.parse(value) is None:
        raise WrongValueError("image-name", f"{accepts}; for a pull with its digest: name@sha256:…")
    return value


def _mount_option(value: str) -> str:
    name, _, text = value.partition("=")
    return f"{name}={text.strip(chr(34))}" if name in CONTEXTS else value


def _not_nobody(value: int) -> int:
    if value == NOBODY:
        raise ValueError("not 65534 (nobody): NFS maps unknown users to it")
    return value


def _export_option(value: str) -> str:
    name, _, number = value.partition("=")
    if number and int(number) > HIGHEST_ID:
        raise WrongValueError("export-id", f"{name} from 0 to {HIGHEST_ID}, the last id of Linux")
    return value


Path = Annotated[
    str,
    AfterValidator(_plain_path),
    _text("no-path", _PATH, "an absolute path of letters, digits and . _ @ + - (no space, no trailing /)"),
]
Paths = Annotated[list[Path], _list("no-paths", 'a list of directories, such as ["/srv/pods/oslo"]')]
Root = Annotated[Path, AfterValidator(_short)]
V1Dir = Annotated[
    str,
    AfterValidator(_plain_path),
    _text(
        "no-v1-dir",
        re.compile(rf"auto|{_PATH.pattern}"),
        '"auto", or an absolute path of letters, digits and . _ @ + - (no space, no trailing /)',
    ),
]
User = Annotated[str, _text("no-user-name", _USER, "a user name: lower-case letters, digits, _, . and -, at most 32")]
Address = Annotated[str, BeforeValidator(machine_address)]


HostId = Annotated[
    int,
    Field(ge=0, le=HIGHEST_ID),
    AfterValidator(_not_nobody),
    _accepts("no-id", f"a whole number from 0 to {HIGHEST_ID} but {NOBODY}, which is nobody's"),
]
AgentUid = Annotated[
    int,
    Field(ge=1, le=HIGHEST_ID),
    AfterValidator(_not_nobody),
    _accepts("no-agent-uid", f"a whole number from 1 to {HIGHEST_ID} but {NOBODY}: an agent is never root, nor nobody"),
]
AgentGid = HostId
Flag = Annotated[bool, _accepts("no-flag", "True or False")]
Count = Annotated[int, Field(ge=1, le=100), _accepts("no-count", "a whole number from 1 to 100")]
Seconds = Annotated[int, Field(ge=0, le=3600), _accepts("no-seconds", "a whole number of seconds from 0 to 3600")]
GitUrl = Annotated[
    str,
    AfterValidator(git_url),
    _text(
        "no-git-url",
        GIT_URL,
        "a git URL without a password: https://, ssh://, git://, file:/// or user@host:path; "
        "give the machine a deploy key for what is private",
    ),
]
GitRef = Annotated[
    str,
    AfterValidator(git_ref),
    _text("no-git-ref", GIT_REF, "a tag, a branch or a commit, such as v2.0.64 (no .., no leading -)"),
]
ImageName = Annotated[str, BeforeValidator(_image_name)]
EnvName = Annotated[str, _text("no-variable-name", _ENV_NAME, "a variable name: letters, digits and _, no digit first")]
EnvValue = Annotated[str, BeforeValidator(_env_value)]
Environment = Annotated[dict[EnvName, EnvValue], AfterValidator(environment), BeforeValidator(_mapping)]
MountOption = Annotated[
    str,
    AfterValidator(_mount_option),
    _text("no-mount-option", _MOUNT_OPTION, "one mount option of nfs(5): name or name=value"),
]
MountOptions = Annotated[
    list[MountOption], _list("no-mount-options", 'a list of mount options, such as ["lookupcache=positive"]')
]
ExportOption = Annotated[
    str,
    AfterValidator(_export_option),
    _text(
        "no-export-option",
        _EXPORT_OPTION,
        "no_root_squash, root_squash, all_squash, anonuid=UID or anongid=GID; the role writes all other options",
    ),
]
ExportOptions = Annotated[
    list[ExportOption],
    _list("no-export-options", 'a list of options, such as ["all_squash", "anonuid=1000", "anongid=1000"]'),
]
Command = Annotated[
    list[
        Annotated[
            str, AfterValidator(word), _text("no-word", re.compile(r"[^\n\r\0]+"), "a word of text without line breaks")
        ]
    ],
    AfterValidator(command),
    _list("no-command", 'a program and its words, such as ["node", "scripts/ask.mjs"]', least=1),
]
HttpAddress = Annotated[
    str,
    _text("no-http-address", _HTTP, "an address such as http://10.0.0.9:10254, without a path, a user or a password"),
]
Channels = Annotated[
    list[
        Annotated[
            str, _text("no-channel", _CHANNEL, "a channel as NanoClaw names it: lower-case letters, digits and -")
        ]
    ],
    _list("no-channels", 'a list of channels, such as ["telegram"]'),
]
Server = Annotated[
    str, _text("no-server", re.compile(r"\S{1,255}", re.ASCII), 'a machine of nfs_servers, an IP address or "local"')
]
NodeVersions = Annotated[tuple[int, int], BeforeValidator(_node_versions)]
Size = Annotated[str, _text("no-size", _SIZE, "a size such as 100M: a number and k, M or G")]
