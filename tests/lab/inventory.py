"""The machines of the default lab as an inventory: `make demo` runs the role over them."""

_lab = {
    "ssh_user": "root",
    "ssh_key": "build/lab/default/ssh_key",
    "ssh_known_hosts_file": "build/lab/default/known_hosts",
    "nanoclaw_repository": "git://10.99.0.10/nanoclaw.git",
    "nanoclaw_repository_unencrypted": True,
    "nanoclaw_environment": {"SWEEP_INTERVAL_MS": "5000"},
}

nfs_servers = [
    ("server", {**_lab, "ssh_hostname": "10.99.0.10"}),
]

nanoclaw_hosts = [
    (
        "host-root",
        {**_lab, "ssh_hostname": "10.99.0.11", "nanoclaw_user": "root", "nanoclaw_root": "/pods/nanoclaw-v2"},
    ),
    ("host-1000", {**_lab, "ssh_hostname": "10.99.0.12", "nanoclaw_env": {"ASSISTANT_NAME": "Andy"}}),
    ("host-1500", {**_lab, "ssh_hostname": "10.99.0.13", "nanoclaw_uid": 1500}),
]
