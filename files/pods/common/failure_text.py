"""The cause of a failure in a command's output: for programs that import it.

Package managers and compilers print progress before the cause and a stack trace after it.
"""

from __future__ import annotations

import re

from files.pods.common.sanitize import shown

SURE = re.compile(
    r"\bERROR\b|\bERR_[A-Z]|\bfatal:|\berror TS[0-9]|\bFAIL:|Error:|\bnpm error (code|[0-9])|"
    r"\bE(NOTFOUND|AI_AGAIN|CONNREFUSED|CONNRESET|TIMEDOUT|HOSTUNREACH|ACCES|PERM|NOSPC|DQUOT|ROFS|NOENT)\b"
)
LIKELY = re.compile(r"\berror\b|\bERR!|\bcannot\b|\bfailed\b|not found|[Nn]o such", re.IGNORECASE)
NOISE = re.compile(
    r"(^|\s)at \S.*[:(]|^Progress: |^Packages: |^[+ -]+$|^ST(EP|ATUS): |^===|^\s*[~^]+\s*$|^Node\.js v|\bELIFECYCLE\b|"
    r"^node:internal|\bthrow\b|^npm (warn|notice)|gyp (info|verb|WARN)|A complete log of this run"
)
SHOWN = 4
"""Lines that are shown."""


def cause_of(output: str) -> list[str]:
    """The lines that name the cause, the first ones; without any the last lines that are no stack trace."""
    # pnpm sets thin spaces (U+2009), which are not printable.
    lines = list(dict.fromkeys(" ".join(line.split()) for line in output.splitlines() if line.strip()))
    kept = [line for line in lines if not NOISE.search(line)]
    for pattern in (SURE, LIKELY):
        if found := [line for line in kept if pattern.search(line)]:
            return [shown(line) for line in found[:SHOWN]]
    return [shown(line) for line in (kept or lines)[-SHOWN:]]
