"""Names that are nearly right: of settings, of groups, of machines. A near miss is an error with a suggestion."""

import difflib
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache

_ALIKE = str.maketrans("аеорсухіјѕԁһвмнткɡοανρτυχικηıȷɑ", "aeopcyxijsdhbmhtkgoavptuxiknija")
"""Letters of other alphabets that look like ASCII ones; accents and full width are undone by NFKD."""

_LONGEST = 64
"""Characters of a name that suggestions are worked out for; no name of the role is as long."""


def skeleton(name: str) -> str:
    """A name without what the eye does not see: case, accents, look-alike letters, blanks, - . and _."""
    plain = unicodedata.normalize("NFKD", name).casefold().translate(_ALIKE)
    return "".join(c for c in plain if not unicodedata.category(c).startswith(("M", "C", "Z")) and c not in "_-. ")


@lru_cache(maxsize=4096)
def near(name: str, known: tuple[str, ...], cutoff: float) -> str | None:
    """The one of `known` that a name resembles most, or None."""
    bare = skeleton(name[:_LONGEST])
    if not bare:
        return None
    bare_known = {skeleton(one): one for one in known}
    matches = difflib.get_close_matches(bare, bare_known, n=1, cutoff=cutoff)
    return bare_known[matches[0]] if matches else None


def same(name: str, known: str) -> bool:
    """Whether a name differs from `known` only in what the eye does not see."""
    return name != known and skeleton(name) == skeleton(known)


class Names:
    """Many names, of which one that differs by one letter is found without comparing them all."""

    def __init__(self, names: Iterable[str]) -> None:
        self._by_part: defaultdict[str, list[str]] = defaultdict(list)
        for name in sorted(names):
            for part in _parts(skeleton(name[:_LONGEST])):
                self._by_part[part].append(name)

    def near(self, name: str) -> str | None:
        """A name that becomes `wanted` by one letter more, less, other or swapped; None if there is none."""
        bare = skeleton(name[:_LONGEST])
        parts = sorted(_parts(bare), key=lambda part: (part != bare, part))
        return next((self._by_part[part][0] for part in parts if part in self._by_part), None)


def _parts(name: str) -> set[str]:
    """A name, and all that is left of it with one letter less."""
    return {name} | {name[:place] + name[place + 1 :] for place in range(len(name)) if len(name) > 2}


class Others:
    """A group of names, of which each can be told who the others are: the first five and how many more."""

    SHOWN = 5

    def __init__(self, names: Iterable[str]) -> None:
        ordered = sorted(set(names))
        self._count, self._first = len(ordered), ordered[: self.SHOWN + 1]
        self._all = frozenset(ordered)

    def than(self, name: str) -> str:
        """All of them but `name`."""
        others = [other for other in self._first if other != name][: self.SHOWN]
        more = self._count - (name in self._all) - len(others)
        return ", ".join(others) + (f" and {more} more" if more else "")
