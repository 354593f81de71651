"""The docker command: each call has a deadline, no input, and the C locale."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

_AGENT_COLUMNS = '{{.ID}}\t{{.Label "nanoclaw-session"}}\t{{.Label "nanoclaw-role"}}'


def run_docker(
    *args: str, timeout: float = 60, check: bool = False, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run docker. Raises OSError if it is missing, SubprocessError if it is late or fails with `check`."""
    return subprocess.run(
        ["docker", *args],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
        cwd="/",
        check=check,
        env={**(os.environ if env is None else env), "LC_ALL": "C.UTF-8"},
    )


def docker_output(args: Sequence[str], timeout: float) -> tuple[int | None, str]:
    """Return exit status and output of a docker command; no status if it did not end in time."""
    try:
        done = run_docker(*args, timeout=timeout)
    except FileNotFoundError as error:
        return 127, str(error)
    except subprocess.TimeoutExpired:
        return None, f"docker {args[0]}: no end within {timeout} s"
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")


def copy_out_argv(container: str, path: str) -> list[str]:
    """Return the argv that prints a file of a container as a tar archive."""
    return ["docker", "cp", f"{container}:{path}", "-"]


def list_agents_argv(install: str, *, created: bool = False) -> list[str]:
    """Return the argv that lists an install's containers, for `agent_ids`.

    + created: those that were created and not started yet, instead of those that run
    """
    state = ["--all", "--filter", "status=created"] if created else []
    return ["docker", "ps", *state, "--filter", f"label=nanoclaw-install={install}", "--format", _AGENT_COLUMNS]


def stop_argv(ids: Sequence[str], grace: int) -> list[str]:
    """Return the argv that stops containers, and kills them after `grace` seconds."""
    return ["docker", "stop", f"--time={grace}", *ids]


def agent_ids(output: str) -> list[str]:
    """Return the containers of agents: those of a session, or of a version that labels no roles.

    A gateway has the install's label too, whatever else it has. NanoClaw starts it once, at its setup, and nothing
    starts it again.
    """
    rows = [line.split("\t") for line in output.splitlines() if line.strip()]
    return [row[0] for row in rows if len(row) < 3 or ((row[1] or not row[2]) and row[2] != "gateway")]


def list_agents(install: str, timeout: float, *, created: bool = False) -> list[str]:
    """Return the ids of agents that run, or were only created. Raises OSError or SubprocessError if Docker fails."""
    listed = run_docker(*list_agents_argv(install, created=created)[1:], timeout=timeout, check=True)
    return agent_ids(listed.stdout.decode("utf-8", "replace"))


def stop_agents(install: str, grace: int, timeout: float) -> None:
    """Stop the agents of an install. Raises OSError or SubprocessError if that fails or takes too long.

    One that was created and not started is removed: a docker command that outlives the service may start it yet. An
    agent that ends by itself meanwhile makes docker fail; what counts is that none is left.
    """
    for created, argv, seconds in ((True, ["rm", "--force"], timeout / 4), (False, stop_argv([], grace)[1:], timeout)):
        if not (ids := list_agents(install, timeout / 4, created=created)):
            continue
        done = run_docker(*argv, *ids, timeout=seconds)
        if done.returncode and (left := {*ids} & {*list_agents(install, timeout / 4, created=created)}):
            why = done.stderr.decode("utf-8", "replace").strip()
            raise subprocess.SubprocessError(f"docker {argv[0]}: {', '.join(sorted(left))} is left: {why}")
