"""JSON as text with the places of its parts, so that one part is changed and all others stay as they were written.

The text must be valid JSON. What is added is set as its neighbours are: indented or not, with or without spaces.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

_SPACE = re.compile(r"[ \t\r\n]*")


class DuplicateMember(ValueError):
    """An object has two members of one name: readers differ in which of them counts."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the member {name[:100]!r} is there twice")


class Part(NamedTuple):
    """An element of an array, or a member of an object with its `key`: `text[start:end]`. Its value begins at `at`."""

    start: int
    at: int
    end: int
    value: Any
    key: str = ""


@dataclass(frozen=True)
class Style:
    """The white space of an array or object: after its opening bracket, between two parts (with the comma), before its
    closing bracket, and around the colon of its members (with the colon)."""

    lead: str = ""
    gap: str = ","
    tail: str = ""
    colon: str = ":"

    def object(self, members: Mapping[str, Any]) -> str:
        """Return an object as JSON in this style, with what its members hold on one line.

        Raises:
            ValueError: a number is infinite.
        """
        if not members:
            return "{}"
        return f"{{{self.lead}{self.gap.join(self.member(*each) for each in members.items())}{self.tail}}}"

    def member(self, key: str, value: Any) -> str:
        """Return a member of an object as JSON. Raises ValueError for an infinite number."""
        return f"{_dump(key)}{self.colon}{self.value(value)}"

    def value(self, value: Any) -> str:
        """Return a value as JSON on one line. Raises ValueError for an infinite number."""
        return _dump(value, separators=("," if "\n" in self.gap else self.gap, self.colon))


@dataclass(frozen=True)
class Container:
    """An array or object in a text: `text[start:end]`, brackets included, and its parts in order."""

    text: str
    start: int
    end: int
    parts: Sequence[Part]

    def style(self) -> Style | None:
        """Return how its parts are set; None if it has none."""
        if not self.parts:
            return None
        first, last = self.parts[0], self.parts[-1]
        lead, tail = self.text[self.start + 1 : first.start], self.text[last.end : self.end - 1]
        gap = self._gap(len(self.parts) - 1) if len(self.parts) > 1 else f",{lead}"
        return Style(lead, gap, tail, self.text[first.start : first.at].rpartition('"')[2] or ":")

    def rewritten(
        self,
        style: Style,
        *,
        without: Collection[int] = (),
        changed: Mapping[int, str] | None = None,
        added: Iterable[str] = (),
    ) -> str:
        """Return its text without some parts, with the text of others changed, and with new ones at its end, which are
        set in a style."""
        kept = [
            (self._gap(index), (changed or {}).get(index) or self.text[part.start : part.end])
            for index, part in enumerate(self.parts)
            if index not in without
        ]
        if kept:
            kept[0] = (self._gap(0), kept[0][1])
        for new in added:
            kept.append((style.gap if kept else style.lead, new))
        tail = self.text[self.parts[-1].end : self.end - 1] if self.parts else style.tail
        inner = "".join(gap + part for gap, part in kept) + (tail if kept else "")
        return f"{self.text[self.start]}{inner}{self.text[self.end - 1]}"

    def _gap(self, index: int) -> str:
        """Return what stands before a part, from the part or bracket before it on."""
        before = self.parts[index - 1].end if index else self.start + 1
        return self.text[before : self.parts[index].start]


def scan_array(text: str, start: int) -> Container:
    """Return the array that begins at a place."""
    parts = []
    at = skip(text, start + 1)
    while text[at] != "]":
        value, end = _decoder.raw_decode(text, at)
        parts.append(Part(at, at, end, value))
        at = _next(text, end)
    return Container(text, start, at + 1, parts)


def scan_object(text: str, start: int, *, arrays: Collection[str] = ()) -> Container:
    """Return the object that begins at a place. The value of a member that `arrays` names is a `Container`, if it is an
    array."""
    parts = []
    at = skip(text, start + 1)
    while text[at] != "}":
        key, end = _decoder.raw_decode(text, at)
        place = skip(text, skip(text, end) + 1)
        value: Any
        if key in arrays and text[place] == "[":
            value = scan_array(text, place)
            end = value.end
        else:
            value, end = _decoder.raw_decode(text, place)
        parts.append(Part(at, place, end, value, key))
        at = _next(text, end)
    _unique([(part.key, None) for part in parts])
    return Container(text, start, at + 1, parts)


def skip(text: str, at: int) -> int:
    """Return the place of the first character from `at` on that is no white space."""
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _next(text: str, end: int) -> int:
    at = skip(text, end)
    return skip(text, at + 1) if text[at] == "," else at


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise DuplicateMember(next(name for name in names if names.count(name) > 1))
    return found


_decoder = json.JSONDecoder(object_pairs_hook=_unique)
_dump = partial(json.dumps, ensure_ascii=False, allow_nan=False)
