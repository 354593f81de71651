"""Makes a tree like NanoClaw's, as the user that runs it: ROOT COUNT [DIRECTORIES_ONLY].

Answer: how many entries it has. Beside it, ROOT.some has the path of each hundredth entry, in order of creation: wrong
entries that lie everywhere, which is the worst case for whoever looks for them.
"""

from __future__ import annotations

import os
import sys
from typing import TextIO

SESSIONS = 12  # in an agent group
FILES = 10  # in an inbox and in an outbox
EACH = 100


class Maker:
    def __init__(self, enough: int, some: TextIO) -> None:
        self.enough, self.some, self.made = enough, some, 0

    def count(self, path: str) -> None:
        if self.made % EACH == 0 and self.made:
            print(path, file=self.some)
        self.made += 1

    def directory(self, path: str) -> str:
        os.mkdir(path)
        self.count(path)
        return path

    def file(self, path: str) -> None:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))
        self.count(path)

    def session(self, path: str, files: int) -> None:
        self.directory(path)
        for name in ("inbound.db", "outbound.db", ".heartbeat") if files else ():
            self.file(f"{path}/{name}")
        for box in ("inbox", "outbox"):
            self.directory(f"{path}/{box}")
            for number in range(files):
                self.file(f"{path}/{box}/{number}")

    def run(self, root: str, files: int) -> None:
        self.directory(root)
        group = 0
        while self.made < self.enough:
            self.directory(f"{root}/ag-{group}")
            for session in range(SESSIONS):
                if self.made < self.enough:
                    self.session(f"{root}/ag-{group}/sess-{session}", files)
            group += 1


if __name__ == "__main__":
    with open(f"{sys.argv[1]}.some", "w", encoding="utf-8") as listed:
        maker = Maker(int(sys.argv[2]), listed)
        maker.run(sys.argv[1], 0 if len(sys.argv) > 3 else FILES)
    print(maker.made)
