"""Citations in a model's text, as it is written: `[1]` after a statement, and nothing that a page could do harm with.

A model cites passages by the numbers that it was shown. Here they become those of a list of sources, in the order of
their use; numbers of nothing are dropped. The rest of its text may have been put into its mouth by a passage: see
jobs/domain/inert.py.
"""

import re
from collections.abc import Callable, Iterable, Iterator

from jobs.domain.inert import InertText

_OPENING, _CLOSING = r"\[【［〔", r"\]】］〕"
_UNSEEN = "\u00ad\u200b-\u200d\u2060\ufeff"
_SIGNS = rf"\s\d,，、.;；:：~～^&/+|*_#†\-‐-―−{_UNSEEN}"  # what may stand beside numbers
_TOKEN = re.compile(rf"([{_OPENING}])|([{_CLOSING}])|[^{_OPENING}{_CLOSING}{_SIGNS}]+")
_ONLY_SIGNS = re.compile(rf"[{_SIGNS}]*")
_RANGE = re.compile(r"(\d+)(?:\s*[-‐-―−~～]\s*(\d+))?")
_DECIMAL = re.compile(r"\d\.\d")
_BLANKS = " \t\u00a0\u3000"  # the blank before a citation belongs to it: it goes if the number does
_DEPTH = 8  # of brackets in brackets that are looked into
_LONGEST_RANGE = 50
_LONGEST_NUMBER = 9  # digits

Groups = list[tuple[int, int]]  # where brackets with numbers begin and end in a text
Number = Callable[[int], int | None]  # from a number in a model's text to that of a source; None if there is no such


def cited(text: str, number: Number) -> str:
    """Return a whole text with its citations numbered anew, the rest without effect, and no blanks at its end."""
    whole = CitedText(number)
    return whole.feed(text) + whole.end()


def renumbered(text: str, number: Number) -> str:
    """Return a whole text with its citations numbered anew, and nothing else changed."""
    return _numbered(text, _groups(text)[0], number)


def without_citations(text: str) -> str:
    """Return a text without its citations."""
    return renumbered(text, lambda _: None)


class NumberedText:
    """A text that comes in pieces, with its citations numbered anew, and nothing else changed but blanks at its end.
    What is handed on of it is the same wherever it is cut."""

    def __init__(self, number: Number) -> None:
        self._number = number
        self._held = ""

    def feed(self, piece: str) -> str:
        """Take the next piece, and return what can be handed on: the beginning of a citation waits for its end."""
        if self._waits_after(piece):
            self._held += piece
            return ""
        text = self._held + piece
        groups, waiting = _groups(text)
        cut = len(text[:waiting].rstrip())
        self._held = text[cut:]
        return self._numbered(text[:cut], [group for group in groups if group[1] <= cut])

    def end(self) -> str:
        """Return what was held back, at the end of the text; blanks there are dropped."""
        text, self._held = self._held.rstrip(), ""
        return self._numbered(text, _groups(text)[0])

    def through(self, pieces: Iterable[str]) -> Iterator[str]:
        """Yield what can be handed on after each of the pieces, and at their end."""
        yield from map(self.feed, pieces)
        yield self.end()

    def _waits_after(self, piece: str) -> bool:
        """Say whether a piece changes nothing for what is held; without a look at that, which may be long."""
        if not self._held or self._held.isspace():
            return piece.isspace()
        return _ONLY_SIGNS.fullmatch(piece) is not None

    def _numbered(self, text: str, groups: Groups) -> str:
        return _numbered(text, self._citing(text, groups), self._number)

    def _citing(self, text: str, groups: Groups) -> Groups:
        """Return which brackets with numbers in the next part of the text are citations: all of them."""
        return groups


class CitedText:
    """A numbered text that has no effect besides. What is handed on of it is the same wherever it is cut."""

    def __init__(self, number: Number) -> None:
        self._numbered = NumberedText(number)
        self._inert = InertText()

    def feed(self, piece: str) -> str:
        """Take the next piece, and return what can be handed on."""
        return self._inert.feed(self._numbered.feed(piece))

    def end(self) -> str:
        """Return what was held back, at the end of the text; blanks there are dropped."""
        return self._inert.feed(self._numbered.end()) + self._inert.end()


def _groups(text: str) -> tuple[Groups, int | None]:
    """Return where pairs of brackets without letters stand, the outermost ones, and the first that is still open."""
    opened: list[int] = []
    groups: Groups = []
    for token in _TOKEN.finditer(text):
        if token[1]:
            opened = [*opened[-_DEPTH + 1 :], token.start()]
        elif not token[2]:
            opened = []
        elif opened:
            start = opened.pop()
            while groups and groups[-1][0] > start:
                groups.pop()
            groups.append((start, token.end()))
    return groups, opened[0] if opened else None


def _numbered(text: str, groups: Groups, number: Number) -> str:
    parts, at = [], 0
    for start, end in groups:
        labels = _labels(text[start:end])
        if not labels or _DECIMAL.search(text, start, end):
            continue
        found = dict.fromkeys(number(label) for label in labels)
        parts += [text[at:start].rstrip(_BLANKS), *(f" [{each}]" for each in found if each is not None)]
        at = end
    return "".join([*parts, text[at:]])


def _labels(group: str) -> list[int]:
    """Return the numbers in brackets, with those between the ends of a range; too long ones are nothing's."""
    labels: list[int] = []
    for first, last in _RANGE.findall(group):
        low, high = (int(each) if len(each) <= _LONGEST_NUMBER else 0 for each in (first, last or first))
        labels += range(low, high + 1) if low <= high < low + _LONGEST_RANGE else [low, high]
    return labels
