#!/bin/bash
# Stands for the installation of a channel's adapter: only a marker says that it is there. The real one fetches it with
# git and npm, and edits files of the checkout.
set -euo pipefail
cd "$(dirname "$0")/.."
marker=data/channels/$1
echo "=== NANOCLAW SETUP: INSTALL_$(printf %s "$1" | tr '[:lower:]' '[:upper:]') ==="
if [ -e "$marker" ]; then
    echo "STATUS: already-installed"
else
    mkdir -p data/channels
    touch "$marker"
    echo "STATUS: installed"
fi
echo "=== END ==="
