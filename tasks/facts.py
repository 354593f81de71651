"""What is on a machine: each fact is an entry of files/pods, by its request and what its reply becomes.

`None` is the third answer: unknown (the machine has no python3 yet, or printed nothing). Callers fail closed on it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import FactProcessError
from pyinfra.api.facts import FactBase

from files.pods.common.protocol import ProtocolError, Request, decode
from files.pods.guard.protocol import GuardStateRequest
from files.pods.machine.protocol import (
    LookReply,
    LookRequest,
    PackagesReply,
    PackagesRequest,
    PreflightRequest,
    RuntimeRequest,
)
from files.pods.migration.protocol import ProgressRequest
from files.pods.nfs.protocol import ExportsRequest, FirewallRequest, MountsRequest, ObserveRequest
from files.pods.probe.protocol import ProbeRequest
from files.pods.service.protocol import EnvStateRequest, InstallsRequest, ServingStateRequest, StateRequest
from files.pods.source.protocol import CheckoutRequest, ImageRequest
from files.pods.trees.protocol import TreesRequest
from files.pods.v1.protocol import InspectRequest
from tasks.bundle import BEGIN, END, bundle
from tasks.command import Unseen, run_program
from tasks.model.access.observed_squash import ServerObservation
from tasks.model.fleet.plan import HostPlan
from tasks.model.host.adoption import Installs
from tasks.model.host.agent_image import ImageState
from tasks.model.host.checkout import CheckoutState
from tasks.model.host.env_files import EnvState
from tasks.model.host.machine import MachineState
from tasks.model.host.runtime import RuntimeState
from tasks.model.host.service_state import ServiceState
from tasks.model.host.serving import ServingState
from tasks.model.migration.paths import Progress
from tasks.model.migration.v1_state import V1State
from tasks.model.nfs.container_firewall import FirewallState
from tasks.model.nfs.export_state import ExportState
from tasks.model.nfs.mount_state import MountState
from tasks.model.ownership.guard import UNIT_PREFIX, GuardState, guard_unit, program_file, unit_file
from tasks.model.ownership.probe_report import Observations
from tasks.model.ownership.trees import TreeReports

Reply = TypeVar("Reply")


class ProgramFact(FactBase[Reply | None], Generic[Reply]):
    """What an entry of files/pods replies to its request.

    An entry that fails, or prints anything else than the reply, fails that machine alone (`FactProcessError`), never
    the fleet.
    """

    abstract = True
    request: type[Request]
    reply: type[Reply]

    @staticmethod
    def default() -> None:
        return None

    def command(self, request: Request) -> StringCommand:
        """The command that runs the entry. pyinfra ignores its standard input: see `arguments`."""
        more = sorted({it.entry for it in request.questions}) if isinstance(request, LookRequest) else ()
        run = run_program(request.entry, request.document(), mark=True, more=more)
        # Without python3 there is no output, which is unknown; what is sent is read, else sending it fails.
        stdin = run.connector_arguments["_stdin"]
        tested = ("if command -v python3 >/dev/null 2>&1; then", run, "; else cat >/dev/null; fi")
        return StringCommand(*tested, _stdin=stdin)

    def process(self, output: list[str]) -> Reply:
        """The reply: whatever shells print before, after and around it (profiles, logout, escapes) is not it."""
        entry, why = self.request.entry, None
        for document in _documents("\n".join(output)):
            try:
                return decode(self.reply, document, entry, exact=False)
            except ProtocolError as error:
                why = why or error
        printed = f"{entry} printed something else than its document"
        raise FactProcessError(f"{printed}: {why}" if why else printed) from why


_BRACES = 20
"""How many opening braces of one line may stand before its document."""


def _documents(text: str) -> Iterator[Any]:
    """The JSON objects that lines hold, the last line's first; between the marks, where the program set them."""
    begin, end = text.find(BEGIN), text.rfind(END)
    inside = text[begin + len(BEGIN) : end] if 0 <= begin < end else text
    for line in reversed(inside.split("\n")):
        place = line.find("{")
        for _turn in range(_BRACES):
            if place < 0:
                break
            try:
                yield json.JSONDecoder().raw_decode(line, place)[0]
                break
            except (ValueError, RecursionError):
                place = line.find("{", place + 1)


def arguments(fact: type[ProgramFact[Any]], request: Request, payload: str = "") -> dict[str, Any]:
    """The arguments of `get_fact` for a fact: its request, and the standard input that pyinfra takes of a fact only so.

    + payload: what the entry itself reads from its standard input
    """
    (stdin,) = fact().command(request).connector_arguments["_stdin"]
    return {"request": request, "_stdin": Unseen([stdin + payload])}


@dataclass(frozen=True)
class Question:
    """What is asked of a machine, and what its entry reads from standard input."""

    fact: type[ProgramFact[Any]]
    request: Request
    payload: str = ""


class Look(ProgramFact[LookReply]):
    """Many questions to one machine, in one round trip."""

    request, reply = LookRequest, LookReply


class Packages(ProgramFact[PackagesReply]):
    """Which of the named Debian packages are installed (dpkg-query(1))."""

    request, reply = PackagesRequest, PackagesReply


class MachineFact(ProgramFact[MachineState]):
    """The machine's system, mounts, host user and free space."""

    request, reply = PreflightRequest, MachineState


class RuntimeFact(ProgramFact[RuntimeState]):
    """Docker, git and Node, in whatever packaging, and the accounts that matter for the host user."""

    request, reply = RuntimeRequest, RuntimeState


class Exports(ProgramFact[ExportState]):
    """The export table in force and in files, the server that serves it, and its clients."""

    request, reply = ExportsRequest, ExportState


class Mounts(ProgramFact[MountState]):
    """The pods' mount and its binds: live, in unit files, in fstab; and the directories beneath them."""

    request, reply = MountsRequest, MountState


class ContainerFirewall(ProgramFact[FirewallState]):
    """Rules in files and in force, their unit, and what Docker waits for."""

    request, reply = FirewallRequest, FirewallState


class ServerObservationFact(ProgramFact[ServerObservation]):
    """Who makes what as whom on an export; makes three directories there and removes them."""

    request, reply = ObserveRequest, ServerObservation


class TreeOwners(ProgramFact[TreeReports]):
    """How many entries of each tree are not their owner's, from one walk over metadata."""

    request, reply = TreesRequest, TreeReports


class GuardFact(ProgramFact[GuardState]):
    """The guard's files, its unit and its process."""

    request, reply = GuardStateRequest, GuardState


class Probe(ProgramFact[Observations]):
    """How a scratch session went, and what the agent cannot write of the sessions that exist. Not for a check phase."""

    request, reply = ProbeRequest, Observations


class Checkout(ProgramFact[CheckoutState]):
    """What is checked out and built, and what is desired. Asks the remote only if the answer is not here."""

    request, reply = CheckoutRequest, CheckoutState


class AgentImage(ProgramFact[ImageState]):
    """The image's id, its user in numbers, what it was built from, and what the checkout has for it now."""

    request, reply = ImageRequest, ImageState


class EnvFiles(ProgramFact[EnvState]):
    """Keyed digests of the named entries of .env, and the rights of the places that hold secrets."""

    request, reply = EnvStateRequest, EnvState


class HostService(ProgramFact[ServiceState]):
    """The service's unit and its texts, its logs, what changed since it started, and what else runs its root."""

    request, reply = StateRequest, ServiceState


class ServingFact(ProgramFact[ServingState]):
    """Whether the service answers on its socket, and from which code."""

    request, reply = ServingStateRequest, ServingState


class V2Installs(ProgramFact[Installs]):
    """Which NanoClaw v2 runs on a machine, or would, and what runs it."""

    request, reply = InstallsRequest, Installs


class MigrationProgress(ProgramFact[Progress]):
    """The journal of a machine's migration, and what decides which of v1 and v2 starts."""

    request, reply = ProgressRequest, Progress


class V1Install(ProgramFact[V1State]):
    """Where a NanoClaw v1 is, what it has and what runs it."""

    request, reply = InspectRequest, V1State


def guard_request(plan: HostPlan) -> GuardStateRequest:
    """What a host is asked about its guard."""
    program = program_file(bundle("guard.main"))
    return GuardStateRequest(guard_unit(plan), unit_file(plan), program, UNIT_PREFIX)
