"""The main job, shown on four lab machines: the incident, one command, answers. `make demo` runs this."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from tests.e2e import incident
from tests.e2e.fleet import PROJECT, Fleet
from tests.lab.errors import CommandFailedError, LabError
from tests.lab.lab import Lab

INVENTORY = "tests/lab/inventory.py"


def main() -> int:
    """Runs the demonstration; the exit status is 0 only if every host answered and the second run changed nothing."""
    started = time.monotonic()

    def title(text: str) -> None:
        print(f"\n=== [{time.monotonic() - started:4.0f} s] {text}", flush=True)

    title("Four machines: an NFS server and three hosts")
    lab = Lab()
    already_up = lab.is_up
    lab.up("server", "host-root")
    if lab["server"].address not in (PROJECT / INVENTORY).read_text():
        lab.down()
        raise LabError(
            f"the machines have other addresses than {INVENTORY} lists ({lab['server'].address} is the server): "
            "another checkout's default lab runs here (end it: make lab-down there)"
        )
    fleet = Fleet.of(lab)

    title("The incident: a host installed by hand as root, on a no_root_squash export")
    with ThreadPoolExecutor() as pool:
        others = pool.submit(lab.up)  # They boot meanwhile.
        if already_up and incident.is_staged(fleet):
            print("the lab was up already, and is past its incident; python -m tests.lab reset starts afresh")
        elif not _shows_incident(fleet):
            return 1
        others.result()

    title(f"pyinfra {INVENTORY} deploy.py -y")
    pyinfra = [str(PROJECT / ".venv/bin/pyinfra"), INVENTORY, "deploy.py", "-y"]
    if subprocess.run(pyinfra, cwd=PROJECT).returncode != 0:
        print("demo: the run failed")
        return 1

    title("A message to every host")
    answers = fleet.send_to_all("hello")
    for name, answer in answers.items():
        print(f"{name}: {answer}")

    title("The same command again")
    second = fleet.run("-y")
    for operation, host in sorted(second.changed):
        print(f"changed on {host}: {operation}")

    title("What the verification says")
    print("\n".join(line for line in second.log.splitlines() if "verified |" in line))

    print("\nThe machines go on running. python -m tests.lab ssh host-root opens a shell; make lab-down ends them.")
    answered = sum(answer == "echo: hello" for answer in answers.values())
    print(f"demo: {answered} hosts answered, second run: {len(second.changed)} changes")
    return 0 if answered == len(fleet.hosts) and second.exit == 0 and not second.changed else 1


def _shows_incident(fleet: Fleet) -> bool:
    incident.stage(fleet)
    try:
        fleet.send_message("host-root", "is anybody there?", timeout=12)
    except CommandFailedError as error:
        print(f"no answer: {error.stderr.strip().splitlines()[-1]}")
        symptom = f"grep -m1 -h '{incident.SYMPTOM}' {incident.ROOT}/logs/nanoclaw.log"
        print(fleet.lab["host-root"].wait_until_succeeds(symptom, timeout=60).strip())
        print(f"the log does not say why; SQLite says to the agent's user: {incident.cause(fleet).strip()}")
        return True
    print("the agent answered, and the incident did not happen")
    return False


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as error:
        sys.exit(f"demo: {error}")
