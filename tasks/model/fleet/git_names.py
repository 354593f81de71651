"""Git URLs and refs that are safe to stand in a command, and that git takes."""

import re

from tasks.model.fleet.addresses import ip_address
from tasks.model.problem import WrongValueError

_HOST_NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
_GIT_PATH = r"[A-Za-z0-9._~/%+@=:-]*"
GIT_URL = re.compile(
    rf"https?://({_HOST_NAME}|\[[0-9A-Fa-f:]+\])(:[0-9]+)?/{_GIT_PATH}"
    rf"|(ssh|git)://([A-Za-z0-9_][\w.-]*@)?({_HOST_NAME}|\[[0-9A-Fa-f:]+\])(:[0-9]+)?/{_GIT_PATH}"
    rf"|file:///{_GIT_PATH}"
    rf"|[A-Za-z0-9_][\w.-]*@{_HOST_NAME}:[A-Za-z0-9_~/.]{_GIT_PATH}",
    re.ASCII,
)
GIT_REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+@,=-]*([./][A-Za-z0-9_+@,=-]+)*")
REF_LENGTH = 240
"""A ref is a file of git's, and a lock beside it has a name that is longer (NAME_MAX)."""
URL_LENGTH = 2000


def git_url(value: str) -> str:
    """`value`, which GIT_URL matches, if its length, its port and its IPv6 address are possible."""
    if len(value) > URL_LENGTH:
        raise WrongValueError("git-url-too-long", f"a git URL of at most {URL_LENGTH} characters")
    bracketed = re.search(r"\[([^]]*)\]", value)
    if bracketed and ip_address(bracketed[1]) is None:
        raise WrongValueError("git-url-address", "a git URL; what its brackets hold is no IPv6 address")
    port = re.match(r"[a-z]+://[^/]*:([0-9]+)/", value)
    if port and not 0 < int(port[1][:6]) <= 65_535:
        raise WrongValueError("git-url-port", "a git URL with a port from 1 to 65535")
    return value


def git_ref(value: str) -> str:
    """`value`, which GIT_REF matches, if git and the file system take it as a file's name."""
    if len(value) > REF_LENGTH:
        raise WrongValueError("git-ref-too-long", f"a tag, a branch or a commit of at most {REF_LENGTH} characters")
    if value.endswith(".lock") or ".lock/" in value:
        raise WrongValueError("git-ref-lock", "a tag, a branch or a commit; git allows no part that ends in .lock")
    return value
