"""Every setting of the role, with its default. It is the reference, and it holds for every machine.

What is different in a fleet stands elsewhere: for one machine in inventory.py, for all of a group in
group_data/nfs_servers.py or group_data/nanoclaw_hosts.py. `make docs` writes this file from
tasks/model/fleet/settings.py.
"""

# --- The NFS server: machines of nfs_servers ---

# address that the hosts mount from; default: the machine's ssh_hostname or name
nfs_address = None

# directory that holds one export directory for each host
nfs_export_root = "/srv/pods"

# NFSv3 on (needs rpcbind and statd) or off, for all exports; default: as the server has it
nfs_v3 = None

# restart nfs-server.service for nfs_v3 although other machines use it
nfs_restart_shared = False

# directories to stop exporting to hosts outside this inventory, if no client mounts them
nfs_remove_exports: list[str] = []

# the same, even if clients have them mounted: these clients lose their files
nfs_remove_mounted_exports: list[str] = []

# --- The pods: what a machine of nanoclaw_hosts mounts, and how sessions come to belong to the agent ---

# machine of nfs_servers, address of another server, or "local"; default: the only one of nfs_servers
pods_server = None

# directory on the server; default: nfs_export_root/NAME OF THE HOST
pods_export = None

# address of this host as the server sees it; default: its ssh_hostname or name
pods_address = None

# where the export is mounted on the host
pods_path = "/pods"

# NFS version to mount with
pods_nfs_version = "4.2"

# mount options beside vers, proto, hard, nosuid and nodev; as in nfs(5)
pods_mount_options: list[str] = []

# mount options that the role does not know; the kernel alone judges them
pods_mount_options_unchecked: list[str] = []

# how sessions come to belong to the agent: squash, chown, native, or auto
pods_access = "auto"

# squash options (exports(5)) to write; for another server, those that it has; default: by pods_access
pods_export_options = None

# directories with files from before the role, which it may export, or chown to the agent
pods_adopt: list[str] = []

# --- NanoClaw: machines of nanoclaw_hosts ---

# user that the host process runs as; root is possible
nanoclaw_user = "nanoclaw"

# uid of nanoclaw_user; default: its account's; for a new one 1000, or a free one if that is taken
nanoclaw_uid = None

# gid of nanoclaw_user; default: its account's; if nanoclaw_uid is set, the same number
nanoclaw_gid = None

# uid of the agent image's USER; the image must have the same
nanoclaw_image_uid = 1000

# gid of the agent image's USER; the image must have the same
nanoclaw_image_gid = 1000

# a login account that you allow to be nanoclaw_user, or to have the agent's uid
nanoclaw_agent_account = None

# project root; outside pods_path only data/v2-sessions and groups are on the pods
nanoclaw_root = "/opt/nanoclaw"

# git URL of NanoClaw
nanoclaw_repository = "https://github.com/nanocoai/nanoclaw.git"

# allow http:// and git://, where anybody on the way can change code that runs as root
nanoclaw_repository_unencrypted = False

# tag, branch or commit to run; the role moves any other checkout to it
nanoclaw_ref = "v2.0.64"

# if a new ref touches files changed on the host: keep (do not move) or stash (git stash and move)
nanoclaw_local_changes = "keep"

# if a later NanoClaw migrated data/v2.db, or is adopted: refuse, restore an older copy, or keep (new chats fail)
nanoclaw_newer_database = "refuse"

# where Node comes from if the machine has none: machine (nowhere), distribution or nodesource
nanoclaw_node = "distribution"

# lowest and highest major version of Node that is accepted
nanoclaw_node_versions = (20, 24)

# where the agent image comes from: build (container/build.sh), pull (a registry) or load (a file)
nanoclaw_image = "build"

# for pull: name@sha256:DIGEST; for load: the name that the image has in the archive
nanoclaw_image_name = None

# for load: the archive, a file on the host that docker save has made
nanoclaw_image_archive = None

# entries of .env that the role sets (never shown); other entries are left alone
nanoclaw_env: dict[str, str] = {}

# environment of the service, for what NanoClaw reads from its process only; not for secrets
nanoclaw_environment: dict[str, str] = {}

# credential gateway that the role applies by NanoClaw's own setup; 2.4.0 and newer need one
nanoclaw_gateway = None

# address of the OneCLI to use, which must run; its key is ONECLI_API_KEY of nanoclaw_env
nanoclaw_gateway_server = None

# channels that the role puts into the checkout by NanoClaw's own setup, such as telegram
nanoclaw_channels: list[str] = []

# size at which a log file of NanoClaw is rotated
nanoclaw_log_size = "100M"

# rotated log files that are kept
nanoclaw_log_keep = 5

# command, as a list, that makes a new version answer; runs as nanoclaw_user; must exit with 0
nanoclaw_gate = None

# change the version of this host before that of others
nanoclaw_canary = False

# how many hosts change their version at once, after the canaries
nanoclaw_batch = 10

# seconds for agents to finish their work before a change of version stops them; v1 is not drained
nanoclaw_drain_seconds = 60

# directory of a NanoClaw v1 to migrate, or "auto" to find it
nanoclaw_v1_dir = None

# whom v2 answers: public, strict or request_approval; needed where v1 has a sender allow-list
nanoclaw_v1_unknown_senders = None

# roll a migrated host back to v1: v2 is stopped and kept, v1 runs again
nanoclaw_v1_rollback = False
