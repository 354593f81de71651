"""Every setting of the role: its type, its default and its one-line description.

`group_data/all.py` and docs/settings.md show the same; a test keeps the three equal.
"""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tasks.model.fleet.values import (
    Address,
    AgentGid,
    AgentUid,
    Channels,
    Command,
    Count,
    Environment,
    ExportOptions,
    Flag,
    GitRef,
    GitUrl,
    HostId,
    HttpAddress,
    ImageName,
    MountOptions,
    NodeVersions,
    Path,
    Paths,
    Root,
    Seconds,
    Server,
    Size,
    User,
    V1Dir,
)
from tasks.model.platform.platform import DEBIAN_13

LOCAL = "local"
"""The value of `pods_server` for a pods directory that is a local file system."""

AUTO = "auto"
"""The value of `nanoclaw_v1_dir` that has the role look for the install."""

SECRET = frozenset({"nanoclaw_env"})
"""Settings with values that are never shown: not in errors, not in a diff, not in a log."""


class WrongSettingError(Exception):
    """A check read a setting with a wrong value: it has no answer, and says nothing of its own."""


class _Settings(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name in type(self).model_fields:
                raise WrongSettingError(name)
            return super().__getattr__(name)

    def forget(self, wrong: set[str]) -> None:
        """Take away what stands for settings with wrong values: to read one raises WrongSettingError."""
        for name in wrong:
            self.__dict__.pop(name, None)


class ServerSettings(_Settings):
    """Settings of a machine in the group nfs_servers."""

    nfs_address: Address | None = Field(
        None, description="address that the hosts mount from; default: the machine's ssh_hostname or name"
    )
    nfs_export_root: Path = Field("/srv/pods", description="directory that holds one export directory for each host")
    nfs_v3: Flag | None = Field(
        None, description="NFSv3 on (needs rpcbind and statd) or off, for all exports; default: as the server has it"
    )
    nfs_restart_shared: Flag = Field(
        False, description=f"restart {DEBIAN_13.nfs_server_unit} for nfs_v3 although other machines use it"
    )
    nfs_remove_exports: Paths = Field(
        [],
        description="directories to stop exporting to hosts outside this inventory, if no client mounts them",
    )
    nfs_remove_mounted_exports: Paths = Field(
        [], description="the same, even if clients have them mounted: these clients lose their files"
    )


class HostSettings(_Settings):
    """Settings of a machine in the group nanoclaw_hosts."""

    pods_server: Server | None = Field(
        None,
        description='machine of nfs_servers, address of another server, or "local"; '
        "default: the only one of nfs_servers",
    )
    pods_export: Path | None = Field(
        None, description="directory on the server; default: nfs_export_root/NAME OF THE HOST"
    )
    pods_address: Address | None = Field(
        None, description="address of this host as the server sees it; default: its ssh_hostname or name"
    )
    pods_path: Path = Field("/pods", description="where the export is mounted on the host")
    pods_nfs_version: Literal["4.2", "4.1", "4.0", "3"] = Field("4.2", description="NFS version to mount with")
    pods_mount_options: MountOptions = Field(
        [], description="mount options beside vers, proto, hard, nosuid and nodev; as in nfs(5)"
    )
    pods_mount_options_unchecked: MountOptions = Field(
        [], description="mount options that the role does not know; the kernel alone judges them"
    )
    pods_access: Literal["auto", "squash", "chown", "native"] = Field(
        "auto", description="how sessions come to belong to the agent: squash, chown, native, or auto"
    )
    pods_export_options: ExportOptions | None = Field(
        None,
        description="squash options (exports(5)) to write; for another server, those that it has; "
        "default: by pods_access",
    )
    pods_adopt: Paths = Field(
        [], description="directories with files from before the role, which it may export, or chown to the agent"
    )
    nanoclaw_user: User = Field("nanoclaw", description="user that the host process runs as; root is possible")
    nanoclaw_uid: HostId | None = Field(
        None,
        description="uid of nanoclaw_user; default: its account's; for a new one 1000, or a free one if that is taken",
    )
    nanoclaw_gid: HostId | None = Field(
        None, description="gid of nanoclaw_user; default: its account's; if nanoclaw_uid is set, the same number"
    )
    nanoclaw_image_uid: AgentUid = Field(
        1000, description="uid of the agent image's USER; the image must have the same"
    )
    nanoclaw_image_gid: AgentGid = Field(
        1000, description="gid of the agent image's USER; the image must have the same"
    )
    nanoclaw_agent_account: User | None = Field(
        None,
        description="a login account that you allow to be nanoclaw_user, or to have the agent's uid",
    )
    nanoclaw_root: Root = Field(
        "/opt/nanoclaw", description="project root; outside pods_path only data/v2-sessions and groups are on the pods"
    )
    nanoclaw_repository: GitUrl = Field("https://github.com/nanocoai/nanoclaw.git", description="git URL of NanoClaw")
    nanoclaw_repository_unencrypted: Flag = Field(
        False, description="allow http:// and git://, where anybody on the way can change code that runs as root"
    )
    nanoclaw_ref: GitRef = Field(
        "v2.0.64", description="tag, branch or commit to run; the role moves any other checkout to it"
    )
    nanoclaw_local_changes: Literal["keep", "stash"] = Field(
        "keep",
        description="if a new ref touches files changed on the host: keep (do not move) or stash (git stash and move)",
    )
    nanoclaw_newer_database: Literal["refuse", "restore", "keep"] = Field(
        "refuse",
        description="if a later NanoClaw migrated data/v2.db, or is adopted: refuse, restore an older copy, or keep "
        "(new chats fail)",
    )
    nanoclaw_node: Literal["machine", "distribution", "nodesource"] = Field(
        "distribution",
        description="where Node comes from if the machine has none: machine (nowhere), distribution or nodesource",
    )
    nanoclaw_node_versions: NodeVersions = Field(
        (20, 24), description="lowest and highest major version of Node that is accepted"
    )
    nanoclaw_image: Literal["build", "pull", "load"] = Field(
        "build",
        description="where the agent image comes from: build (container/build.sh), pull (a registry) or load (a file)",
    )
    nanoclaw_image_name: ImageName | None = Field(
        None, description="for pull: name@sha256:DIGEST; for load: the name that the image has in the archive"
    )
    nanoclaw_image_archive: Path | None = Field(
        None, description="for load: the archive, a file on the host that docker save has made"
    )
    nanoclaw_env: Environment = Field(
        {}, repr=False, description="entries of .env that the role sets (never shown); other entries are left alone"
    )
    nanoclaw_environment: Environment = Field(
        {}, description="environment of the service, for what NanoClaw reads from its process only; not for secrets"
    )
    nanoclaw_gateway: Literal["onecli"] | None = Field(
        None, description="credential gateway that the role applies by NanoClaw's own setup; 2.4.0 and newer need one"
    )
    nanoclaw_gateway_server: HttpAddress | None = Field(
        None, description="address of the OneCLI to use, which must run; its key is ONECLI_API_KEY of nanoclaw_env"
    )
    nanoclaw_channels: Channels = Field(
        [], description="channels that the role puts into the checkout by NanoClaw's own setup, such as telegram"
    )
    nanoclaw_log_size: Size = Field("100M", description="size at which a log file of NanoClaw is rotated")
    nanoclaw_log_keep: Count = Field(5, description="rotated log files that are kept")
    nanoclaw_gate: Command | None = Field(
        None,
        description="command, as a list, that makes a new version answer; runs as nanoclaw_user; must exit with 0",
    )
    nanoclaw_canary: Flag = Field(False, description="change the version of this host before that of others")
    nanoclaw_batch: Count = Field(10, description="how many hosts change their version at once, after the canaries")
    nanoclaw_drain_seconds: Seconds = Field(
        60,
        description="seconds for agents to finish their work before a change of version stops them; v1 is not drained",
    )
    nanoclaw_v1_dir: V1Dir | None = Field(
        None, description='directory of a NanoClaw v1 to migrate, or "auto" to find it'
    )
    nanoclaw_v1_unknown_senders: Literal["public", "strict", "request_approval"] | None = Field(
        None, description="whom v2 answers: public, strict or request_approval; needed where v1 has a sender allow-list"
    )
    nanoclaw_v1_rollback: Flag = Field(
        False, description="roll a migrated host back to v1: v2 is stopped and kept, v1 runs again"
    )


SETTINGS: dict[str, type[_Settings]] = {
    name: model for model in (ServerSettings, HostSettings) for name in model.model_fields
}
"""Each setting's name and the model that it belongs to."""
