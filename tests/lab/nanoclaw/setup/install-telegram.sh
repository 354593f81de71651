#!/bin/bash
exec "$(dirname "$0")/install-channel.sh" telegram
