"""Citations in a model's text, as it is written: `[1]` after a statement, and nothing that a page could do harm with.

A model cites passages by the numbers that it was shown. Here they become those of a list of sources, in the order of
their use; numbers of nothing are dropped. Links, images and HTML lose their effect: what a model writes may have been
put into its mouth by a passage, and an image would be fetched from wherever that says as soon as somebody looks.
"""

import re
from collections.abc import Callable

# The blank before a citation belongs to it: it goes if the number does.
CITED = re.compile(r"(?<!\s)\s*+[\[【]\s*+(\d{1,4}(?:\s*[,，、]\s*\d{1,4})*)\s*[\]】]")
_HELD = re.compile(r"(?:(?<!\s)\s*+[\[【][\d\s,，、]{0,60}[\]】]?|(?<!\s)\s++|[\]<])$")
_HARMFUL = re.compile(r"(\])(?=[(:])|(<)(?=[A-Za-z/!?])")  # a link or a definition of one; HTML

Number = Callable[[int], int | None]  # from a number in a model's text to that of a source; None if there is no such


def cited(text: str, number: Number) -> str:
    """Return a whole text with its citations numbered anew."""
    return _inert(CITED.sub(lambda match: _renumbered(match[1], number), text))


class CitedText:
    """A text that comes in pieces. What is handed on of them together is what `cited` makes of the whole."""

    def __init__(self, number: Number) -> None:
        self._number = number
        self._held = ""

    def feed(self, piece: str) -> str:
        """Take the next piece, and return what can be handed on: the beginning of a citation waits for its end."""
        text = self._held + piece
        held = _HELD.search(text)
        cut = held.start() if held else len(text)
        self._held = text[cut:]
        return cited(text[:cut], self._number)

    def end(self) -> str:
        """Return what was held back, at the end of the text; blanks there are dropped."""
        text, self._held = self._held, ""
        return cited(text, self._number).rstrip()


def _renumbered(numbers: str, number: Number) -> str:
    found = [number(int(each)) for each in re.findall(r"\d+", numbers)]
    return "".join(f" [{each}]" for each in dict.fromkeys(found) if each is not None)


def _inert(text: str) -> str:
    return _HARMFUL.sub(lambda match: "] " if match[1] else "\\<", text)
