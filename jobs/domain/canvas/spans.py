"""JSON as text with the places of its parts, so that one part is changed and all others stay as they were written.

The text must be valid JSON. What is added is set as its neighbours are: indented or not, with or without spaces. Values
are read when they are asked for, and not kept: those of a large file would make Python's collector stop for all else.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

_SPACE = re.compile(r"[ \t\r\n]*")
_COMMA = re.compile(r"[ \t\r\n]*,?[ \t\r\n]*")
_COLON = re.compile(r"[ \t\r\n]*:[ \t\r\n]*")


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
    """An array or object in a text: `text[start:end]`, brackets included.

    Its parts, elements or members, are `text[starts[i]:ends[i]]`, their values begin at `values[i]`; `names` are the
    keys of members. `arrays` are those of its members that were asked for.
    """

    text: str
    start: int
    end: int
    starts: Sequence[int]
    values: Sequence[int]
    ends: Sequence[int]
    names: Sequence[str]
    arrays: Mapping[str, "Container"] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.starts)

    def part(self, index: int) -> str:
        """Return a part as it is written."""
        return self.text[self.starts[index] : self.ends[index]]

    def value(self, index: int) -> Any:
        """Return the value of a part."""
        return _read(self.text, self.values[index])[0]

    def style(self) -> Style | None:
        """Return how its parts are set; None if it has none."""
        if not self.starts:
            return None
        lead = self._gap(0)
        gap = self._gap(len(self) - 1) if len(self) > 1 else f",{lead}"
        key_and_colon = self.text[self.starts[0] : self.values[0]]
        return Style(lead, gap, self._tail(), key_and_colon.rpartition('"')[2] or ":")

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
        pieces = self._kept(without, changed or {})
        for new in added:
            pieces += [style.gap if pieces else style.lead, new]
        tail = (self._tail() if self.starts else style.tail) if pieces else ""
        return f"{self.text[self.start]}{''.join(pieces)}{tail}{self.text[self.end - 1]}"

    def _kept(self, without: Collection[int], changed: Mapping[int, str]) -> list[str]:
        """Return the parts that stay, each with what stands before it."""
        if self.starts and not without and not changed:
            return [self.text[self.start + 1 : self.ends[-1]]]
        pieces: list[str] = []
        for index in range(len(self)):
            if index not in without:
                pieces.append(self._gap(index if pieces else 0) + (changed.get(index) or self.part(index)))
        return pieces

    def _gap(self, index: int) -> str:
        """Return what stands before a part, from the part or bracket before it on."""
        return self.text[self.ends[index - 1] if index else self.start + 1 : self.starts[index]]

    def _tail(self) -> str:
        return self.text[self.ends[-1] : self.end - 1]


def scan_array(text: str, start: int, name: Callable[[Any], str]) -> Container:
    """Return the array that begins at a place, its elements named by their values."""
    starts, ends, names = list[int](), list[int](), list[str]()
    at = skip(text, start + 1)
    while text[at] != "]":
        value, end = _read(text, at)
        starts.append(at)
        ends.append(end)
        names.append(name(value))
        at = _COMMA.match(text, end).end()  # type: ignore[union-attr]  # it matches anything
    return Container(text, start, at + 1, starts, starts, ends, names)


def scan_object(
    text: str, start: int, *, arrays: Mapping[str, Callable[[Any], str]] = MappingProxyType({})
) -> Container:
    """Return the object that begins at a place. With `arrays`, those members are scanned too, if they are arrays, and
    their elements named."""
    starts, values, ends, names = list[int](), list[int](), list[int](), list[str]()
    inner: dict[str, Container] = {}
    at = skip(text, start + 1)
    while text[at] != "}":
        name, end = _read(text, at)
        value = _COLON.match(text, end).end()  # type: ignore[union-attr]  # there is one
        if name in arrays and text[value] == "[":
            inner[name] = scan_array(text, value, arrays[name])
        starts.append(at)
        values.append(value)
        ends.append(inner[name].end if name in inner else _read(text, value)[1])
        names.append(name)
        at = _COMMA.match(text, ends[-1]).end()  # type: ignore[union-attr]
    return Container(text, start, at + 1, starts, values, ends, names, inner)


def skip(text: str, at: int) -> int:
    """Return the place of the first character from `at` on that is no white space."""
    return _SPACE.match(text, at).end()  # type: ignore[union-attr]


def repeated_member(text: str) -> str | None:
    """Return the name of a member that an object of the text has twice, if there is one: readers differ in which of
    them counts."""
    found: list[str] = []

    def look(pairs: Sequence[tuple[str, Any]]) -> None:
        if len(dict(pairs)) < len(pairs):
            found.append(next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1))

    json.loads(text, object_pairs_hook=look)
    return found[0] if found else None


_read = json.JSONDecoder().raw_decode
_dump = partial(json.dumps, ensure_ascii=False, allow_nan=False)
