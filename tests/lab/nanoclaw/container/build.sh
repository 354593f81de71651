#!/bin/bash
# Builds the agent's image from this machine's own busybox and sqlite3: no registry is asked.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd .. && pwd) # as upstream: the logical path, so a symlinked root names another image than the host looks for
slug=$(printf %s "$root" | sha1sum | cut -c1-8)
image=${CONTAINER_IMAGE:-nanoclaw-agent-v2-$slug:${1:-latest}}

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
tree=$context/rootfs
mkdir -p "$tree"/{app,bin,etc,home/node,tmp,usr/bin,workspace}
chmod 1777 "$tree/tmp"
chmod 777 "$tree/home/node" # an agent with another uid needs its home too
cp -L "$(command -v busybox)" "$tree/bin/busybox"
"$tree/bin/busybox" --install "$tree/bin" # hard links, all in one process: a link each costs a guest seconds
sqlite3=$(command -v sqlite3)
cp -L "$sqlite3" "$tree/usr/bin/sqlite3"
ldd "$sqlite3" | grep -o '/[^ ]*' | while read -r library; do cp -L --parents "$library" "$tree"; done
printf 'root:x:0:0::/:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n' > "$tree/etc/passwd"
printf 'root:x:0:\nnode:x:1000:\n' > "$tree/etc/group"
tar -C "$tree" --owner=0 --group=0 --exclude=./home/node --exclude=./workspace -cf "$context/rootfs.tar" .
tar -C "$tree" --owner=1000 --group=1000 -rf "$context/rootfs.tar" ./home/node ./workspace
rm -rf "$tree"
cp Dockerfile "$context"

# The builder that every Docker has, and that starts at once.
DOCKER_BUILDKIT=0 docker build --quiet --tag "$image" "$context"
echo "built $image"
