"""Text of machines as text that a terminal and a page can show: no character of it moves, hides or rewrites another."""

LINES = "\n\t"
"""What text of several lines keeps."""


def printable(text: str, keep: str = "") -> str:
    """Text with each character that is not printable as its escape: controls, bidirectional marks, odd spaces.

    + keep: characters that stay as they are: `LINES` for text of several lines, nothing for a name
    """
    return "".join(char if char in keep or char.isprintable() else ascii(char)[1:-1] for char in text)
