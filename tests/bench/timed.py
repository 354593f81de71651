"""The wall time of a second run over the lab, and how much of it the controller did not work."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.e2e.fleet import PROJECT, RUN_TIMEOUT, Fleet, Run
from tests.lab.errors import LabError
from tests.lab.lab import Lab

LAB_NAME = "NANOCLAW_PODS_LAB_NAME"
"""Environment variable: the lab to use, if it is not the one of make demo."""

WHAT = (
    "pyinfra inventory.py deploy.py -y over the lab's machines when a dry run has just predicted no change, from the "
    "start of its process to its end. cpu: user and system time of that process (getrusage). queued: time in which its "
    "main thread could have run and had no processor (/proc/PID/schedstat; null where the kernel does not say): the "
    "lab's machines are processes on the same processors. waiting: wall less cpu less queued, so the time in which it "
    "had nothing to do but wait for machines. share: waiting / wall."
)


@dataclass(frozen=True)
class Timing:
    """What one process took, in seconds."""

    wall: float
    cpu: float
    queued: float | None

    @property
    def waiting(self) -> float:
        """The time in which it neither worked nor waited for a processor."""
        return max(0.0, self.wall - self.cpu - (self.queued or 0.0))

    @property
    def share(self) -> float:
        """The part of the wall time that is waiting."""
        return self.waiting / self.wall if self.wall else 0.0


def queued_seconds(schedstat: str) -> float | None:
    """The second number of a schedstat file: nanoseconds on a run queue."""
    fields = schedstat.split()
    return int(fields[1]) / 1e9 if len(fields) == 3 and any(word != "0" for word in fields) else None


def timed(argv: list[str], limit: float) -> tuple[Timing, int, str, str]:
    """Runs a command and returns its timing, exit code, output and errors."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        begun = time.monotonic()
        child = subprocess.Popen(argv, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=out, stderr=err, text=True)
        while os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
            if time.monotonic() - begun > limit:
                child.kill()
            time.sleep(0.05)
        wall = time.monotonic() - begun
        queued = queued_seconds(_schedstat(child.pid))  # of the ended process, while nobody has asked for its end
        _pid, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        for stream in (out, err):
            stream.seek(0)
        return Timing(wall, usage.ru_utime + usage.ru_stime, queued), child.returncode, out.read(), err.read()


def _schedstat(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii")
    except OSError:
        return ""


def measure(environment: Mapping[str, str]) -> dict[str, Any]:
    """Times a run over the lab that is up; where there is none, says why nothing was measured.

    A lab on which a run would change something is left alone: to measure is not to provision.
    """
    name = environment.get(LAB_NAME, "default")
    try:
        lab = Lab(name)
        if not lab.is_up:
            return not_measured(f"lab {name} is not up: python -m tests.lab up, then make demo or a run of the role")
        fleet = Fleet.of(lab)
        fleet.folder = PROJECT / "build" / "bench"  # beside the scenarios' own
    except LabError as error:
        return not_measured(f"lab {name}: {error}")
    dry = fleet.run("--dry")
    if dry.exit != 0:
        return not_measured(f"a dry run over lab {name} ended with {dry.exit}: {last_line(dry.log)}")
    if dry.predicted:
        return not_measured(f"a run over lab {name} would change {len(dry.predicted)} things: finish it first")
    timing, code, out, err = timed(fleet.pyinfra("--json", "-y"), RUN_TIMEOUT)
    if code != 0:
        return not_measured(f"a run over lab {name} ended with {code}: {last_line(err)}")
    changed = Run(code, err, json.loads(out)).changed
    if changed:
        return not_measured(f"the run over lab {name} was no second one: it changed {sorted(changed)}")
    return document(name, len(fleet.data), timing)


def document(lab: str, machines: int, timing: Timing) -> dict[str, Any]:
    """The measurement for bench.json."""
    seconds = {**asdict(timing), "waiting": timing.waiting}
    return {
        "measured": True,
        "what": WHAT,
        "lab": lab,
        "machines": machines,
        "seconds": {key: None if value is None else round(value, 2) for key, value in seconds.items()},
        "share": round(timing.share, 3),
    }


def not_measured(why: str) -> dict[str, Any]:
    """What bench.json says where there was nothing to measure."""
    return {"measured": False, "why": why, "what": WHAT}


def last_line(text: str) -> str:
    """The last line that says something; pyinfra's own headlines only if there is no other."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    output_lines = [line for line in lines if not line.startswith("-->")]
    return ["it said nothing", *(output_lines or lines)][-1]


def sentence(figures: Mapping[str, Any]) -> str:
    """The measurement in a line for people."""
    if not figures["measured"]:
        return f"second run on the lab: not measured: {figures['why']}"
    seconds = figures["seconds"]
    return (
        f"second run on lab {figures['lab']} ({figures['machines']} machines): {seconds['wall']} s, of which the "
        f"controller worked {seconds['cpu']} s and waited for machines {seconds['waiting']} s ({figures['share']:.0%})"
    )
