"""The programs of NanoClaw's setup that apply a skill, by what a checkout has of them."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable

from files.pods.common.read_untrusted import read_untrusted_text
from files.pods.common.run_command import run_command
from files.pods.source.skill_results import (
    SkillResult,
    read_driver,
    read_headless,
    read_script,
    read_step,
)

TSX = ("pnpm", "exec", "tsx")
HEADLESS = "scripts/skill-headless.ts"
DRIVER = "setup/lib/skill-driver.ts"
STEPS = "setup/index.ts"
GATEWAY_STEP = re.compile(r"^\s*['\"]?gateway['\"]?\s*:", re.MULTILINE)
SKILLS = ".claude/skills"
Reader = Callable[[str, int], SkillResult]
SKILL_SECONDS = 900
"""A pairing that a skill waits for does not end by itself."""
LATE = (124, 137)
"""The status of timeout(1) for a command that it ended."""


def has(root: str, path: str) -> bool:
    """Whether a checkout has a file."""
    return os.path.isfile(os.path.join(root, path))


def run_driver(root: str, argv: tuple[str, ...], read: Reader) -> SkillResult:
    """Run a program of the setup in a checkout, and read its report. It has no terminal and no input."""
    late = SkillResult(False, failed=(f"it did not end within {SKILL_SECONDS} s",))
    try:
        # Its children hold the run's lock as well: they may outlive this program.
        limit = ("timeout", "--kill-after=10", str(SKILL_SECONDS))  # timeout(1) ends its children, too
        done = run_command(
            [*limit, *argv], timeout=SKILL_SECONDS + 60, cwd=root, stderr=subprocess.STDOUT, close_fds=False
        )
    except OSError as error:
        return SkillResult(False, failed=(f"timeout(1) cannot be started: {error.strerror}",))
    except subprocess.TimeoutExpired:
        return late
    if done.returncode in LATE:
        return late
    return read(done.stdout, done.returncode)


def apply_gateway(root: str, kind: str) -> SkillResult | None:
    """Apply a gateway; None where the checkout has nothing that applies one."""
    if GATEWAY_STEP.search(read_untrusted_text(os.path.join(root, STEPS)) or ""):
        return run_driver(root, (*TSX, STEPS, "--step", "gateway", "--", kind), read_step)
    if has(root, DRIVER) and has(root, f"{SKILLS}/add-{kind}/SKILL.md"):
        return run_driver(root, (*TSX, DRIVER, f"{SKILLS}/add-{kind}"), read_driver)
    return None


def apply_channel(root: str, channel: str) -> SkillResult | None:
    """Apply a channel; None where the checkout has nothing that applies it.

    A headless run rolls back a skill that wants an input. The other driver leaves its code in the checkout.
    """
    skill = f"{SKILLS}/add-{channel}"
    if has(root, f"{skill}/SKILL.md"):
        if has(root, HEADLESS):
            result = run_driver(root, (*TSX, HEADLESS, "apply", f"add-{channel}"), read_headless)
            if result.is_in or not result.inputs or not has(root, DRIVER):
                return result
        if has(root, DRIVER):
            return run_driver(root, (*TSX, DRIVER, skill), read_driver)
    script = f"setup/install-{channel}.sh"
    return run_driver(root, ("bash", script), read_script) if has(root, script) else None
