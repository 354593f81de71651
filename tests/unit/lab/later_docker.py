"""A `docker` for versions of the stand-in from 2.3.0 on: containers outlive the host."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.unit.lab.standin_install import Install

# A container is a directory with its arguments, and with its process id while it runs.
DOCKER = """#!/bin/bash
all=$FAKE_DIR/containers
case $1 in
create)
    printf '%s\\n' "$@" > "$FAKE_DIR/args"
    name=$(grep -x -A1 -e --name "$FAKE_DIR/args" | tail -n 1)
    mkdir -p "$all" && mkdir "$all/$name" && mv "$FAKE_DIR/args" "$all/$name"
    ;;
start)
    cd "$all/$3" || exit 1
    cp args "$FAKE_DIR/last-args"
    while read -r word; do
        case $word in
            *:/workspace) export NANOCLAW_WORKSPACE=${word%%:*} ;;
            *:/workspace/agent) export NANOCLAW_AGENT_DIR=${word%%:*} ;;
            *:/app/.nanoclaw-session.json:ro) export NANOCLAW_CONTEXT=${word%%:*} ;;
            *:/home/node/.claude) home=$(mktemp -d "$FAKE_DIR/home-XXXXXX") && ln -s "${word%%:*}" "$home/.claude" ;;
            *:/app/src:ro) code=${word%%:*} ;;
            IDLE_TIMEOUT=*) export "${word?}" ;;
        esac
    done < args
    export HOME=$home
    ${AGENT_UID:+setpriv --reuid $AGENT_UID --regid $AGENT_UID --clear-groups} \\
        sh "$code/agent.sh" 2>> "$FAKE_DIR/agent.log" &
    echo $! > pid
    chmod -R a+rX "$home"
    wait $!
    code=$?
    rm -r "$all/$3"
    exit $code
    ;;
ps)
    for one in "$all"/*/; do
        [ -e "$one/pid" ] || continue
        printf '%s\\t%s\\n' "$(basename "$one")" "$(sed -n 's/^nanoclaw-session=//p' "$one/args")"
    done
    ;;
wait)
    while [ -e "$all/$2" ]; do sleep 0.1; done
    ;;
rm)
    [ ! -e "$all/$3/pid" ] && rm -r "$all/$3"
    ;;
stop)
    kill "$(cat "$all/$4/pid")"
    ;;
esac
"""


def install_docker(install: Install) -> None:
    """Put it in place of the one of earlier versions."""
    (install.fake / "bin/docker").write_text(DOCKER)


def containers(install: Install) -> dict[str, int]:
    """The containers that run, with their processes."""
    notes = (install.fake / "containers").glob("*/pid")
    return {note.parent.name: int(note.read_text()) for note in notes}


def end_containers(install: Install) -> None:
    for pid in containers(install).values():
        os.kill(pid, signal.SIGTERM)


def arguments(install: Install) -> list[str]:
    """What the container that started last was created with."""
    return (Path(install.fake) / "last-args").read_text().splitlines()
