"""Keyed digests of entries of .env, and the rights of the places that hold secrets. Never a value.

Standard input: the key of the run, in hexadecimal. It is in no argv and no output, so that what is printed (pyinfra
-vvv) shows digests that nobody can try values against.
"""

from __future__ import annotations

import hashlib
import hmac
import sys

from files.pods.common.dotenv import parse
from files.pods.common.lstat_below import lstat_below
from files.pods.common.protocol import print_reply, read_request
from files.pods.common.read_untrusted import MAX_BYTES, read_untrusted_bytes
from files.pods.common.run_as_host_user import run_with_deadline
from files.pods.service.protocol import EnvState, EnvStateRequest


def main() -> None:
    """Print digests and permissions."""
    request = read_request(EnvStateRequest)
    root, env = request.root, request.root + "/.env"
    run_with_deadline(30, root)
    values = {}
    if lstat_below(env, root).kind == "file":
        try:
            values = parse(read_untrusted_bytes(env).decode("utf-8", "replace"))
        except OSError as error:
            sys.exit(f"{env} cannot be read ({error.strerror}): make it a file of at most {MAX_BYTES >> 20} MiB")
    key = bytes.fromhex(sys.stdin.readline())
    if len(key) < 32:
        sys.exit("no key came by standard input")
    digests = {
        name: hmac.new(key, values[name].encode(), hashlib.sha256).hexdigest()
        for name in request.names
        if name in values
    }
    print_reply(EnvState({path: lstat_below(path, root) for path in request.places}, digests))


if __name__ == "__main__":
    main()
