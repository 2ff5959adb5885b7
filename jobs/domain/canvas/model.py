"""What a canvas holds, after JSON Canvas 1.0 (https://jsoncanvas.org/spec/1.0/), and the check that it does.

Members that the specification does not know are left alone.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from jobs.domain.canvas.errors import InvalidCanvas
from jobs.domain.faults import MAX_FAULTS, Fault, first_errors

MAX_NODES = 10_000
MAX_EDGES = 20_000
MAX_MEMBERS = 1000  # of the canvas, of a node, of an edge
MAX_PIXELS = 2**53 - 1  # what every reader of JSON takes for an integer

Kind = Literal["nodes", "edges"]

_COLOR = re.compile(r"[1-6]|#[0-9A-Fa-f]{6}")


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value  # 1e2 is an integer too


def _color(text: str) -> str:
    if not _COLOR.fullmatch(text):
        raise ValueError('a colour is "1" to "6" or "#RRGGBB"')
    return text


def _subpath(text: str) -> str:
    if not text.startswith("#"):
        raise ValueError('a subpath begins with "#"')
    return text


Id = Annotated[str, Field(min_length=1)]
Place = Annotated[int, BeforeValidator(_whole), Field(ge=-MAX_PIXELS, le=MAX_PIXELS)]
Length = Annotated[int, BeforeValidator(_whole), Field(ge=0, le=MAX_PIXELS)]
Color = Annotated[str, AfterValidator(_color)]
Side = Literal["top", "right", "bottom", "left"]
End = Literal["none", "arrow"]


class _Item(BaseModel):
    # Strict: the text of a number is no number. Defaults are not checked: a member may be absent, but not null.
    model_config = ConfigDict(strict=True, extra="ignore")

    id: Id
    color: Color = ""


class _Node(_Item):
    x: Place
    y: Place
    width: Length
    height: Length


class TextNode(_Node):
    """A card with Markdown."""

    type: Literal["text"]
    text: str


class FileNode(_Node):
    """A file of the vault, `subpath` a heading or block in it."""

    type: Literal["file"]
    file: str
    subpath: Annotated[str, AfterValidator(_subpath)] = ""


class LinkNode(_Node):
    """A web page."""

    type: Literal["link"]
    url: str


class GroupNode(_Node):
    """A frame around other nodes."""

    type: Literal["group"]
    label: str = ""
    background: str = ""
    backgroundStyle: Literal["cover", "ratio", "repeat"] = "cover"


class Edge(_Item):
    """A line from one node to another."""

    fromNode: str
    fromSide: Side = "right"
    fromEnd: End = "none"
    toNode: str
    toSide: Side = "left"
    toEnd: End = "arrow"
    label: str = ""


Node = Annotated[TextNode | FileNode | LinkNode | GroupNode, Field(discriminator="type")]

_ITEM: dict[Kind, TypeAdapter[Any]] = {"nodes": TypeAdapter(Node), "edges": TypeAdapter(Edge)}
_ITEMS: dict[Kind, TypeAdapter[Any]] = {"nodes": TypeAdapter(list[Node]), "edges": TypeAdapter(list[Edge])}
LIMITS: Mapping[Kind, int] = {"nodes": MAX_NODES, "edges": MAX_EDGES}


def check_canvas(data: Any) -> None:
    """Refuse what is no canvas.

    Raises:
        InvalidCanvas: naming what is wrong, and where.
    """
    if not isinstance(data, dict):
        raise InvalidCanvas([Fault("body", "a canvas is a JSON object")])
    faults = [*_crowded(data, "body"), *_list_faults(data, "nodes"), *_list_faults(data, "edges")]
    lists = [data.get(kind, []) for kind in LIMITS]
    if all(isinstance(items, list) for items in lists):
        faults += islice(_between(*map(_objects, lists)), MAX_FAULTS)
    if faults:
        raise InvalidCanvas(faults)


def check_item(kind: Kind, item: Any, node_ids: Collection[str]) -> None:
    """Refuse what is no node, or no edge between the nodes of these ids. Raises InvalidCanvas."""
    faults = [*_crowded(item, "body"), *_shape_faults(_ITEM[kind], item, kind, "")]
    if not faults and kind == "edges":
        faults = list(_loose_ends(item, node_ids, ""))
    if faults:
        raise InvalidCanvas(faults)


def _list_faults(data: Mapping[str, Any], kind: Kind) -> list[Fault]:
    items = data.get(kind, [])
    if isinstance(items, list) and len(items) > LIMITS[kind]:
        return [Fault(kind, f"a canvas has {LIMITS[kind]} {kind} at most")]
    shape = list(_shape_faults(_ITEMS[kind], items, kind, kind))
    return shape or [fault for index, item in enumerate(items) for fault in _crowded(item, f"{kind}[{index}]")]


def _crowded(members: Mapping[str, Any], root: str) -> Iterator[Fault]:
    if len(members) > MAX_MEMBERS:
        yield Fault(root, f"has more than {MAX_MEMBERS} members")


def _shape_faults(kind_of: TypeAdapter[Any], value: Any, kind: Kind, root: str) -> Iterator[Fault]:
    try:
        kind_of.validate_python(value)
    except ValidationError as error:
        named = first_errors(error)
        yield from (_fault(problem["type"], problem["loc"], problem["msg"], kind, root) for problem in named)
        if not named:
            yield Fault(root or "body", f"{error.error_count()} faults")


def _fault(reason: str, loc: Sequence[int | str], message: str, kind: Kind, root: str) -> Fault:
    tag = 1 if root else 0  # of a node, pydantic puts the type that it was checked as after the place in the list
    place = [*loc[:tag], *loc[tag + 1 :]] if kind == "nodes" else loc
    if reason.startswith("union_tag"):
        place, message = [*loc, "type"], "must be text, file, link or group"
    path = root + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return Fault(path.lstrip(".") or "body", message.removeprefix("Value error, "))


def _objects(items: Sequence[Any]) -> list[Mapping[str, Any]]:
    return [item if isinstance(item, dict) else {} for item in items]


def _between(nodes: Sequence[Mapping[str, Any]], edges: Sequence[Mapping[str, Any]]) -> Iterator[Fault]:
    """Yield what is wrong between items, whatever else is wrong with each."""
    node_ids, edge_ids = _count_ids(nodes), _count_ids(edges)
    for kind, items, count in (("nodes", nodes, node_ids), ("edges", edges, edge_ids)):
        for index, item in enumerate(items):
            if isinstance(item_id := item.get("id"), str) and count[item_id] > 1:
                yield Fault(f"{kind}[{index}].id", "another one has this id")
    for index, edge in enumerate(edges):
        yield from _loose_ends(edge, node_ids, f"edges[{index}].")


def _count_ids(items: Sequence[Mapping[str, Any]]) -> Counter[str]:
    return Counter(item_id for item in items if isinstance(item_id := item.get("id"), str))


def _loose_ends(edge: Mapping[str, Any], node_ids: Collection[str], root: str) -> Iterator[Fault]:
    for end in ("fromNode", "toNode"):
        if isinstance(node_id := edge.get(end), str) and node_id not in node_ids:
            yield Fault(f"{root}{end}", "there is no such node")
