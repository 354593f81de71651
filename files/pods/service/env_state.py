"""Keyed digests of entries of .env, and the rights of the places that hold secrets. Never a value.

Argument: {"root", "names": [entries], "places": [paths]}. Standard input: the key of the run, in hexadecimal. It is in
no argv and no output, so that what is printed (pyinfra -vvv) shows digests that nobody can try values against.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sys

from files.pods.common.dotenv import entries
from files.pods.common.lstat_below import place
from files.pods.common.read_untrusted import LARGEST, bytes_of
from files.pods.common.run_as_host_user import within


def main() -> None:
    told = json.loads(sys.argv[1])
    root, env = told["root"], told["root"] + "/.env"
    within(30, root)
    said = {}
    if place(env, root)["kind"] == "file":
        try:
            said = entries(bytes_of(env).decode("utf-8", "replace"))
        except OSError as error:
            sys.exit(f"{env} cannot be read ({error.strerror}): make it a file of at most {LARGEST >> 20} MiB")
    key = bytes.fromhex(sys.stdin.readline())
    if len(key) < 32:
        sys.exit("no key came by standard input")
    digests = {
        name: hmac.new(key, said[name].encode(), hashlib.sha256).hexdigest() for name in told["names"] if name in said
    }
    places = {path: place(path, root) for path in told["places"]}
    print(json.dumps({"places": places, "digests": digests}))


if __name__ == "__main__":
    main()
