#!/bin/bash
# v1's image has one name on a machine. How it is made is the same as for the stand-in of version 2.
set -euo pipefail
CONTAINER_IMAGE=${CONTAINER_IMAGE:-nanoclaw-agent:${1:-latest}} exec "$(dirname "$0")/image.sh"
