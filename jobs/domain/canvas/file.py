"""A canvas file: read, checked, and changed one node or edge at a time.

A change splices the text: what it does not touch stays byte for byte as its application wrote it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, cast

from pydantic_core import from_json

from jobs.domain.canvas.errors import CanvasTooLarge, EdgeExists, EdgeNotFound, InvalidCanvas, NodeExists, NodeNotFound
from jobs.domain.canvas.model import LIMITS, Kind, check_canvas, check_item
from jobs.domain.canvas.spans import Container, Style, repeated_member, scan_object, skip
from jobs.domain.faults import Fault
from jobs.domain.json_size import is_crowded

_BOM = "\ufeff"
_MISSING = {"nodes": NodeNotFound, "edges": EdgeNotFound}
_TAKEN = {"nodes": NodeExists, "edges": EdgeExists}
# As Obsidian writes: tabs, a line for each node and edge, no spaces within.
_TOP, _ARRAY, _ITEM = Style("\n\t", ",\n\t", "\n"), Style("\n\t\t", ",\n\t\t", "\n\t"), Style()


@dataclass(frozen=True)
class Edit:
    """What a change makes of a canvas: its text, how many nodes and edges that has, and the node or edge that was added
    or changed."""

    text: str
    nodes: int
    edges: int
    item: str = ""


class CanvasFile:
    """A canvas file by its text, which must be a valid canvas: `parse` checks one that comes from outside."""

    def __init__(self, text: str) -> None:
        self.text = text
        start = skip(text, 0)
        # An application's new canvas may be a file without content.
        self._top = scan_object(text, start, arrays={"nodes": _id, "edges": _id}) if start < len(text) else None
        self._arrays = cast(Mapping[Kind, Container], self._top.arrays if self._top else {})

    @classmethod
    def parse(cls, content: bytes) -> "CanvasFile":
        """Return the canvas of a file. A byte order mark is left out: JSON has none (RFC 8259, 8.1).

        Raises:
            CanvasTooLarge: it holds more than `MAX_VALUES` values.
            InvalidCanvas: naming what is wrong, and where.
        """
        if is_crowded(content):
            raise CanvasTooLarge
        try:
            text = content.decode("utf-8").removeprefix(_BOM)
            data = from_json(text, allow_inf_nan=False) if text.strip(" \t\r\n") else {}
        except UnicodeDecodeError as error:
            raise InvalidCanvas([Fault("body", f"not UTF-8, at byte {error.start}")]) from None
        except ValueError as error:
            raise InvalidCanvas([Fault("body", f"not valid JSON: {error}")]) from None
        check_canvas(data)
        if data and (twice := repeated_member(text)) is not None:
            raise InvalidCanvas([Fault("body", f"the member {twice[:100]!r} is there twice")])
        return cls(text)

    def items(self, kind: Kind) -> Iterator[Mapping[str, Any]]:
        """Yield the nodes, from the lowest to the topmost, or the edges."""
        array = self._arrays.get(kind)
        return (array.value(index) for index in range(len(array))) if array else iter(())

    def count(self, kind: Kind) -> int:
        """Return how many nodes or edges there are."""
        return len(self._arrays[kind]) if kind in self._arrays else 0

    def whole(self) -> Edit:
        """Return the file as what a change has made of it."""
        return self._edit(self.text)

    def item(self, kind: Kind, item_id: str) -> str:
        """Return a node or edge as it is written. Raises NodeNotFound or EdgeNotFound."""
        array, index = self._find(kind, item_id)
        return array.part(index)

    def add(self, kind: Kind, item: Mapping[str, Any]) -> Edit:
        """Add a node on top of the others, or an edge. One that is there already, and is equal, is left as it is.

        Raises:
            InvalidCanvas: it is none, or there are as many as a canvas may have.
            NodeExists, EdgeExists: another one has its id.
        """
        check_item(kind, item, self._ids["nodes"])
        there = self._ids[kind].get(item["id"])
        if there is not None:
            if not _equal(self._arrays[kind].value(there), item):
                raise _TAKEN[kind]
            return self._edit(self.text, item=self.item(kind, item["id"]))
        if self.count(kind) == LIMITS[kind]:
            raise InvalidCanvas([Fault(kind, f"a canvas has {LIMITS[kind]} {kind} at most")])
        with _finite():
            text = self._item_style().object(item)
        _require_shallow(text)
        return self._edit(self._with(kind, text), item=text, more={kind: 1})

    def change(self, kind: Kind, item_id: str, patch: Mapping[str, Any]) -> Edit:
        """Change the members of a node or edge that a JSON merge patch names (RFC 7396: null removes one).

        Raises:
            NodeNotFound, EdgeNotFound: there is none of that id.
            InvalidCanvas: it would be none any more, or have another id.
        """
        array, index = self._find(kind, item_id)
        after = _merged(array.value(index), patch)
        if after.get("id") != item_id:
            raise InvalidCanvas([Fault("id", "an id stays as it is")])
        check_item(kind, after, self._ids["nodes"])
        with _finite():
            text = _rewritten(scan_object(self.text, array.starts[index]), after)
        _require_shallow(text)
        return self._edit(self.text[: array.starts[index]] + text + self.text[array.ends[index] :], item=text)

    def remove(self, kind: Kind, item_id: str) -> Edit:
        """Remove an edge, or a node with the edges that begin or end at it. Raises NodeNotFound or EdgeNotFound."""
        gone = {kind: {self._find(kind, item_id)[1]}}
        if kind == "nodes":
            ends = ((index, edge["fromNode"], edge["toNode"]) for index, edge in enumerate(self.items("edges")))
            gone["edges"] = {index for index, *nodes in ends if item_id in nodes}
        text = self.text
        arrays = [(self._arrays[each], indexes) for each, indexes in gone.items() if each in self._arrays]
        for array, indexes in sorted(arrays, key=lambda each: -each[0].start):  # the last first: places before it stay
            text = _spliced(text, array, array.rewritten(_ARRAY, without=indexes))
        return self._edit(text, more={each: -len(indexes) for each, indexes in gone.items()})

    @cached_property
    def _ids(self) -> Mapping[Kind, Mapping[str, int]]:
        names = {kind: self._arrays[kind].names if kind in self._arrays else () for kind in LIMITS}
        return {kind: {name: index for index, name in enumerate(names[kind])} for kind in LIMITS}

    def _find(self, kind: Kind, item_id: str) -> tuple[Container, int]:
        index = self._ids[kind].get(item_id)
        if index is None:
            raise _MISSING[kind]
        return self._arrays[kind], index

    def _edit(self, text: str, *, item: str = "", more: Mapping[Kind, int] = MappingProxyType({})) -> Edit:
        count = {kind: self.count(kind) + more.get(kind, 0) for kind in LIMITS}
        return Edit(text, count["nodes"], count["edges"], item)

    def _with(self, kind: Kind, item: str) -> str:
        """Return the text with one more node or edge at the end of its list."""
        array = self._arrays.get(kind)
        if array is not None:
            return _spliced(self.text, array, array.rewritten(self._array_style(), added=[item]))
        style = self._array_style()
        member = f'"{kind}"{_top_style(self._top).colon}[{style.lead}{item}{style.tail}]'
        if self._top is None:
            return f"{{{_TOP.lead}{member}{_TOP.tail}}}"
        return _spliced(self.text, self._top, self._top.rewritten(_top_style(self._top), added=[member]))

    def _array_style(self) -> Style:
        """Return how a list is set here: as the other one, or as goes with the lines around."""
        longest = max(self._arrays.values(), key=len, default=None)
        there = longest.style() if longest else None
        if longest and there and (there.lead or len(longest) > 1):
            return there
        top = _top_style(self._top)
        lead = top.lead + _indent(top)
        return Style(lead, f",{lead}", top.lead) if _indent(top) else Style(gap=top.gap)

    def _item_style(self) -> Style:
        """Return how a node or an edge is set here: as the last one."""
        last = next((array.starts[-1] for array in self._arrays.values() if array), None)
        there = None if last is None else scan_object(self.text, last).style()
        if there:
            return there
        top = _top_style(self._top)
        lead = top.lead + 2 * _indent(top)
        if not _indent(top):
            return Style(gap=top.gap, colon=top.colon)
        if top.colon == ":":
            return _ITEM
        return Style(lead, f",{lead}", top.lead + _indent(top), top.colon)


def _id(item: Mapping[str, Any]) -> str:
    return str(item["id"])


def write_canvas(nodes: Sequence[Mapping[str, Any]], edges: Sequence[Mapping[str, Any]]) -> str:
    """Return a new canvas file, as Obsidian writes it."""
    lists = []
    for kind, items in (("nodes", nodes), ("edges", edges)):
        inner = _ARRAY.gap.join(map(_ITEM.object, items))
        lists.append(f'"{kind}":[{_ARRAY.lead}{inner}{_ARRAY.tail}]' if items else f'"{kind}":[]')
    return f"{{{_TOP.lead}{_TOP.gap.join(lists)}{_TOP.tail}}}"


def _top_style(top: Container | None) -> Style:
    return (top.style() if top else None) or _TOP


def _indent(top: Style) -> str:
    """Return by how much a level is indented; nothing where all stands on one line."""
    return top.lead.rpartition("\n")[2] if "\n" in top.lead else ""


def _spliced(text: str, old: Container, new: str) -> str:
    return text[: old.start] + new + text[old.end :]


def _rewritten(item: Container, after: Mapping[str, Any]) -> str:
    """Return an object's text with the members that it is to have; those that stay as they were are not touched."""
    style, known = item.style() or _ITEM, set(item.names)
    changed = {
        index: item.text[item.starts[index] : item.values[index]] + style.value(after[name])
        for index, name in enumerate(item.names)
        if name in after and not _equal(item.value(index), after[name])
    }
    return item.rewritten(
        style,
        without={index for index, name in enumerate(item.names) if name not in after},
        changed=changed,
        added=[style.member(name, value) for name, value in after.items() if name not in known],
    )


def _merged(target: Any, patch: Any) -> Any:
    """Return what a JSON merge patch makes of a value (RFC 7396)."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key), value)
    return merged


def _equal(one: Any, other: Any) -> bool:
    """Say whether two values are the same JSON: for Python, 1 is also true and 1.0."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _require_shallow(item: str) -> None:
    """Refuse what could not be read again where it is to stand: in a list of the file's object."""
    try:
        from_json(f"[[{item}]]")
    except ValueError:
        raise InvalidCanvas([Fault("body", "is nested too deeply")]) from None


@contextmanager
def _finite() -> Iterator[None]:
    try:
        yield
    except ValueError:
        raise InvalidCanvas([Fault("body", "a number is too large")]) from None
