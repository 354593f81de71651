"""An example of a fleet. Put your own machines in the place of these; as it stands, a run refuses it.

A machine is a name and its data: how pyinfra reaches it (ssh_…, pyinfra's own keys), and the settings in which it
differs from group_data/all.py, which documents every one. Settings of a whole group go to a file named after it:
group_data/nfs_servers.py or group_data/nanoclaw_hosts.py. Names that begin with an underscore are no groups.
"""

# How pyinfra logs in. For a user who is not root add "_sudo": True.
_ssh = {"ssh_user": "root", "ssh_key": "~/.ssh/id_ed25519"}

# Machines that export the session directories. Leave the list empty for a filer or for local disks, and set
# pods_server of each host.
nfs_servers = [
    ("nfs1", {**_ssh, "ssh_hostname": "192.0.2.10"}),
]

# Machines that run NanoClaw. Each one gets an export of its own, /srv/pods/NAME.
nanoclaw_hosts = [
    # The defaults: a user nanoclaw, /opt/nanoclaw on the disk of the host, sessions and groups on the pods.
    ("oslo", {**_ssh, "ssh_hostname": "192.0.2.11"}),
    # A host process with an uid of its own: its agents have that uid, too.
    ("bergen", {**_ssh, "ssh_hostname": "192.0.2.12", "nanoclaw_uid": 1500}),
    # An old install: NanoClaw as root, its whole project root on the pods. For a new host leave both settings out.
    (
        "legacy",
        {**_ssh, "ssh_hostname": "192.0.2.13", "nanoclaw_user": "root", "nanoclaw_root": "/pods/nanoclaw-v2"},
    ),
]

# Any other list is a group for --limit: here, the hosts that get a change first.
canary = ["oslo"]
