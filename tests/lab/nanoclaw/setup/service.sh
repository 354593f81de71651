#!/bin/bash
# Writes the unit that upstream's setup step writes when root runs it, and starts it: no User=, no ordering after
# Docker, no tie to a mount. With UNIT_DIR set it only writes.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "only root's system unit is known here" >&2; exit 1; }
root=$(pwd -P)
unit=nanoclaw-v2-$(printf %s "$root" | sha1sum | cut -c1-8)
mkdir -p "$root/logs"
cat > "${UNIT_DIR:-/etc/systemd/system}/$unit.service" <<UNIT
[Unit]
Description=NanoClaw Personal Assistant
After=network.target

[Service]
Type=simple
ExecStart=$(command -v node) $root/dist/index.js
WorkingDirectory=$root
Restart=always
RestartSec=5
KillMode=process
Environment=HOME=$HOME
Environment=PATH=/usr/local/bin:/usr/bin:/bin:$HOME/.local/bin
StandardOutput=append:$root/logs/nanoclaw.log
StandardError=append:$root/logs/nanoclaw.error.log

[Install]
WantedBy=multi-user.target
UNIT
if [ -z "${UNIT_DIR:-}" ]; then
    systemctl daemon-reload
    systemctl enable "$unit"
    systemctl restart "$unit"
fi
echo "$unit"
