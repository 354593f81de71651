"""Search for the cause of a failure in a command's output.

Package managers and compilers print progress before the cause and a stack trace after it.
"""

from __future__ import annotations

import re

from files.pods.common.sanitize import escape_control

CERTAIN_CAUSE = re.compile(
    r"\bERROR\b|\bERR_[A-Z]|\bfatal:|\berror TS[0-9]|\bFAIL:|Error:|\bnpm error (code|[0-9])|"
    r"\bE(NOTFOUND|AI_AGAIN|CONNREFUSED|CONNRESET|TIMEDOUT|HOSTUNREACH|ACCES|PERM|NOSPC|DQUOT|ROFS|NOENT)\b"
)
LIKELY_CAUSE = re.compile(r"\berror\b|\bERR!|\bcannot\b|\bfailed\b|not found|[Nn]o such", re.IGNORECASE)
NOISE = re.compile(
    r"(^|\s)at \S.*[:(]|^Progress: |^Packages: |^[+ -]+$|^ST(EP|ATUS): |^===|^\s*[~^]+\s*$|^Node\.js v|\bELIFECYCLE\b|"
    r"^node:internal|\bthrow\b|^npm (warn|notice)|gyp (info|verb|WARN)|A complete log of this run"
)
MAX_LINES = 4
"""Lines of a failed command that a message shows."""


def find_cause(output: str) -> list[str]:
    """Return the first lines that name a cause, else the last lines that are no stack trace."""
    # pnpm sets thin spaces (U+2009), which are not printable.
    lines = list(dict.fromkeys(" ".join(line.split()) for line in output.splitlines() if line.strip()))
    useful = [line for line in lines if not NOISE.search(line)]
    for pattern in (CERTAIN_CAUSE, LIKELY_CAUSE):
        if matching := [line for line in useful if pattern.search(line)]:
            return [escape_control(line) for line in matching[:MAX_LINES]]
    return [escape_control(line) for line in (useful or lines)[-MAX_LINES:]]
