#!/bin/sh
# Stands for tsx, which runs TypeScript: for SCRIPT.ts it runs the plain JavaScript that lies beside where that would.
script=$1
shift
exec node "${script%.ts}.js" "$@"
