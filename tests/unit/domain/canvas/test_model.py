"""What is no canvas is refused, with its fault and the place of it."""

import json
from typing import Any

import pytest

from jobs.domain.canvas.errors import InvalidCanvas
from jobs.domain.canvas.file import CanvasFile
from jobs.domain.canvas.model import MAX_MEMBERS, MAX_NODES
from jobs.domain.faults import MAX_FAULTS

NODE = {"id": "a", "type": "text", "text": "", "x": 0, "y": 0, "width": 1, "height": 1}
EDGE = {"id": "e", "fromNode": "a", "toNode": "a"}


def faults_of(content: bytes | dict[str, Any]) -> dict[str, str]:
    if not isinstance(content, bytes):
        content = json.dumps(content).encode()
    with pytest.raises(InvalidCanvas) as caught:
        CanvasFile.parse(content)
    return dict(caught.value.faults)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[]", "a canvas is a JSON object"),
        (b'{"nodes":[}', "not valid JSON: expected value at line 1 column 11"),
        (b'{"nodes":[]} x', "not valid JSON: trailing characters"),
        (b'{"a":NaN}', "not valid JSON"),
        (b'{"a":"\\ud800"}', "not valid JSON"),
        (b'{"a":"\x00"}', "not valid JSON"),
        (b'{"nodes":[],"nodes":[]}', "the member 'nodes' is there twice"),
        (b'{"a":{"c":1,"b":1,"b":1}}', "the member 'b' is there twice"),
        (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", "not valid JSON: recursion limit"),
        ("{}".encode("utf-16"), "not UTF-8, at byte 0"),
        ('{"a":"é"}'.encode("latin-1"), "not UTF-8, at byte 6"),
        (b'{"a":' + b"1" * 5000 + b"}", "not valid JSON"),
    ],
)
def test_what_is_no_json_object_is_refused_as_a_whole(content: bytes, message: str) -> None:
    assert message in faults_of(content)["body"]


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"id": None}, "id", "Input should be a valid string"),
        ({"id": ""}, "id", "String should have at least 1 character"),
        ({"type": "picture"}, "type", "must be text, file, link or group"),
        ({"type": ["text"]}, "type", "must be text, file, link or group"),
        ({"text": 5}, "text", "Input should be a valid string"),
        ({"x": "0"}, "x", "Input should be a valid integer"),
        ({"y": 0.5}, "y", "Input should be a valid integer"),
        ({"x": True}, "x", "Input should be a valid integer"),
        ({"x": 10**400}, "x", "Input should be less than or equal to 9007199254740991"),
        ({"width": -1}, "width", "Input should be greater than or equal to 0"),
        ({"color": "7"}, "color", 'a colour is "1" to "6" or "#RRGGBB"'),
        ({"color": "#12345g"}, "color", 'a colour is "1" to "6" or "#RRGGBB"'),
        ({"color": "1\n"}, "color", 'a colour is "1" to "6" or "#RRGGBB"'),
        ({"color": None}, "color", "Input should be a valid string"),
        ({"type": "file", "file": "a", "subpath": "b"}, "subpath", 'a subpath begins with "#"'),
        ({"type": "link"}, "url", "Field required"),
        (
            {"type": "group", "backgroundStyle": "blur"},
            "backgroundStyle",
            "Input should be 'cover', 'ratio' or 'repeat'",
        ),
    ],
)
def test_a_bad_member_of_a_node_is_named(changes: dict[str, Any], field: str, message: str) -> None:
    """With its place in the file; of a node by itself, with its name."""
    assert faults_of({"nodes": [NODE, NODE | {"id": "b"} | changes]}) == {f"nodes[1].{field}": message}
    with pytest.raises(InvalidCanvas) as caught:
        CanvasFile("{}").add("nodes", NODE | changes)
    assert dict(caught.value.faults) == {field: message}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"fromSide": "middle"}, "fromSide"),
        ({"toEnd": "circle"}, "toEnd"),
        ({"label": 1}, "label"),
        ({"toNode": "z"}, "toNode"),
    ],
)
def test_a_bad_member_of_an_edge_is_named(changes: dict[str, Any], field: str) -> None:
    assert list(faults_of({"nodes": [NODE], "edges": [EDGE | changes]})) == [f"edges[0].{field}"]


@pytest.mark.parametrize("lists", [{"nodes": {}}, {"nodes": None}, {"edges": "x"}])
def test_nodes_and_edges_are_lists(lists: dict[str, Any]) -> None:
    assert list(faults_of(lists)) == list(lists)


def test_a_node_that_is_no_object_is_named() -> None:
    assert list(faults_of({"nodes": [7]})) == ["nodes[0]"]


def test_ids_are_there_once() -> None:
    """Of nodes, and of edges; a node and an edge may have the same."""
    assert list(faults_of({"nodes": [NODE, NODE]})) == ["nodes[0].id", "nodes[1].id"]
    assert list(faults_of({"nodes": [NODE], "edges": [EDGE, EDGE]})) == ["edges[0].id", "edges[1].id"]
    CanvasFile.parse(json.dumps({"nodes": [NODE], "edges": [EDGE | {"id": "a"}]}).encode())


def test_faults_of_all_kinds_are_named_together() -> None:
    """Of types, of ids and of ends: who mends one need not come back for the next. What has no id is no end."""
    nodes = [NODE, NODE | {"width": "wide"}, NODE | {"id": 5}, 7]
    edges = [EDGE | {"toNode": "z", "label": 1}, EDGE | {"fromNode": 5}, None]
    assert sorted(faults_of({"nodes": nodes, "edges": edges})) == [
        "edges[0].id",
        "edges[0].label",
        "edges[0].toNode",
        "edges[1].fromNode",
        "edges[1].id",
        "edges[2]",
        "nodes[0].id",
        "nodes[1].id",
        "nodes[1].width",
        "nodes[2].id",
        "nodes[3]",
    ]
    assert list(faults_of({"nodes": {}, "edges": [EDGE]})) == ["nodes"]


def test_only_the_first_faults_are_listed_and_nothing_is_echoed() -> None:
    """The answer is short however bad the file is."""
    huge = {"nodes": [NODE | {"id": str(n), "color": "x" * 10_000, "type": "y" * 10_000} for n in range(100)]}
    faults = faults_of(huge)
    assert len(faults) == MAX_FAULTS
    assert "xxx" not in str(faults)
    assert "yyy" not in str(faults)


def test_there_is_a_limit_to_nodes() -> None:
    full = {"nodes": [NODE | {"id": str(n)} for n in range(MAX_NODES)]}
    file = CanvasFile.parse(json.dumps(full).encode())
    with pytest.raises(InvalidCanvas, match="10000 nodes at most"):
        file.add("nodes", NODE)
    full["nodes"].append(NODE)
    assert list(faults_of(full)) == ["nodes"]


def test_there_is_a_limit_to_members() -> None:
    """A change looks at each of them while others wait."""
    many = {str(n): n for n in range(MAX_MEMBERS)}
    crowded = {"nodes": [NODE, NODE | {"id": "b"} | many], "edges": [EDGE | many], **many}
    assert list(faults_of(crowded)) == ["body", "nodes[1]", "edges[0]"]
    with pytest.raises(InvalidCanvas, match="body: has more than 1000 members"):
        CanvasFile("{}").add("nodes", NODE | many)


def test_whole_numbers_may_be_spelled_in_any_way() -> None:
    CanvasFile.parse(b'{"nodes":[{"id":"a","type":"group","x":1e2,"y":-0,"width":40.0,"height":4E+1}]}')
