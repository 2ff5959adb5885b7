"""Canvas files: a change touches what it names, and nothing else, byte for byte."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.domain.canvas.errors import CanvasTooLarge, EdgeNotFound, InvalidCanvas, NodeExists, NodeNotFound
from jobs.domain.canvas.file import CanvasFile, write_canvas
from tests.unit.domain.canvas.samples import OBSIDIAN, TEXT_NODE, files

LINES = OBSIDIAN.split("\n")
FIRST, LAST = "8132d4d894c80022", "group00000000001"


def parse(text: str) -> CanvasFile:
    return CanvasFile.parse(text.encode())


def is_cut(whole: str, rest: str) -> bool:
    """Say whether one text is the other without one piece of it."""
    start = next((n for n in range(len(rest)) if whole[n] != rest[n]), len(rest))
    return whole.endswith(rest[start:]) and len(whole) >= len(rest)


def test_a_file_of_obsidian_is_taken_as_it_is() -> None:
    file = parse(OBSIDIAN)
    assert file.text == OBSIDIAN
    assert [node["id"] for node in list(file.items("nodes"))][0::4] == [FIRST, LAST]
    assert [edge["id"] for edge in list(file.items("edges"))] == ["6fa11ab87f90b8af", "1111111111111111"]
    assert file.item("nodes", "7efdbbe0c4742315") == LINES[3].strip("\t,")


def test_a_new_node_is_a_new_last_line_as_obsidian_writes_it() -> None:
    """Compact, with the tabs of its neighbours; all other lines stay, but for the comma."""
    edit = parse(OBSIDIAN).add("nodes", TEXT_NODE)
    line = '\t\t{"id":"new","type":"text","text":"新 card","x":1,"y":2,"width":3,"height":4}'
    assert edit.text.split("\n") == [*LINES[:6], f"{LINES[6]},", line, *LINES[7:]]
    assert (edit.nodes, edit.edges, edit.item) == (6, 2, line.strip())


def test_a_changed_member_is_all_that_changes() -> None:
    """Escapes, spellings of numbers, the order and unknown members stay; null removes one, a new one is the last."""
    patch = {"color": None, "width": 300, "x": 40.0, "label": "重点", "styleAttributes": {"border": None}}
    edit = parse(OBSIDIAN).change("nodes", "59e896bc8da20699", patch)
    line = LINES[4].replace(',"color":"#FFaa00"', ',"label":"重点"').replace('"width":250', '"width":300')
    line = line.replace('{"textAlign":"center","border":null}', '{"textAlign":"center"}')
    assert edit.text.split("\n") == [*LINES[:4], line, *LINES[5:]]
    assert parse(edit.text).item("nodes", "59e896bc8da20699") == edit.item


def test_a_change_to_what_is_there_changes_nothing() -> None:
    edit = parse(OBSIDIAN).change("nodes", FIRST, {"color": "1", "x": -280, "note": None})
    assert edit.text == OBSIDIAN


def test_a_node_goes_with_its_edges() -> None:
    """The first one, whose line ends with a comma; the rest stays."""
    edit = parse(OBSIDIAN).remove("nodes", FIRST)
    assert edit.text.split("\n") == [*LINES[:2], *LINES[3:9], LINES[9].rstrip(","), *LINES[11:]]
    assert (edit.nodes, edit.edges) == (4, 1)


def test_an_edge_goes_alone() -> None:
    edit = parse(OBSIDIAN).remove("edges", "6fa11ab87f90b8af")
    assert edit.text.split("\n") == [*LINES[:9], *LINES[10:]]


@pytest.mark.parametrize("empty", ["", " \r\n", "{}", "{ }"])
def test_an_empty_file_is_a_canvas_and_grows_into_one_of_obsidians(empty: str) -> None:
    edit = parse(empty).add("nodes", TEXT_NODE)
    edge = {"id": "e", "fromNode": "new", "toNode": "new"}
    assert parse(edit.text).add("edges", edge).text == write_canvas([TEXT_NODE], [edge])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"nodes":[],"edges":[]}', '{"nodes":[NEW],"edges":[]}'),
        ('{"edges":[]}', '{"edges":[],"nodes":[NEW]}'),
        ('{"nodes": [], "edges": []}', '{"nodes": [SPACED], "edges": []}'),
        ('{\r\n  "nodes": []\r\n}', '{\r\n  "nodes": [\r\n    INDENTED\r\n  ]\r\n}'),
        ('{\n\t"edges":[],\n\t"nodes":[]\n}', '{\n\t"edges":[],\n\t"nodes":[\n\t\tNEW\n\t]\n}'),
        ('{"nodes":[ ],"a":1}', '{"nodes":[NEW],"a":1}'),
    ],
)
def test_the_first_node_is_set_as_the_file_around_it(before: str, after: str) -> None:
    indented = json.dumps(TEXT_NODE, indent=2, ensure_ascii=False).replace("\n", "\r\n    ")
    compact = json.dumps(TEXT_NODE, separators=(",", ":"), ensure_ascii=False)
    spaced = json.dumps(TEXT_NODE, ensure_ascii=False)
    after = after.replace("NEW", compact).replace("SPACED", spaced).replace("INDENTED", indented)
    assert parse(before).add("nodes", TEXT_NODE).text == after


@given(files())
def test_a_node_that_is_added_is_one_piece_and_goes_again_without_a_trace(given_file: tuple[Any, str]) -> None:
    """In every layout: the old text is the new one without that piece, and the new one is a canvas with the node."""
    data, text = given_file
    edit = parse(text).add("nodes", TEXT_NODE)
    assert json.loads(edit.text) == {**data, "nodes": [*data.get("nodes", []), TEXT_NODE]}
    back = parse(edit.text).remove("nodes", "new")
    if data.get("nodes"):
        assert is_cut(edit.text, text)
        assert back.text == text


@given(files(), st.data())
def test_what_is_not_touched_stays_byte_for_byte(given_file: tuple[Any, str], data: st.DataObject) -> None:
    """A node is changed, another one removed: every other node and edge is written as before."""
    canvas, text = given_file
    ids = [node["id"] for node in canvas.get("nodes", [])]
    if not ids:
        return
    changed, removed = data.draw(st.sampled_from(ids)), data.draw(st.sampled_from(ids))
    before = parse(text)
    text = before.change("nodes", changed, {"x": 77, "color": "4", 'q"': None}).text
    after = parse(parse(text).remove("nodes", removed).text)
    assert [node["id"] for node in list(after.items("nodes"))] == [each for each in ids if each != removed]
    for kind, items in (("nodes", list(after.items("nodes"))), ("edges", list(after.items("edges")))):
        for item in items:
            assert item["id"] == changed or after.item(kind, item["id"]) == before.item(kind, item["id"])
    assert not any(removed in (edge["fromNode"], edge["toNode"]) for edge in list(after.items("edges")))


@given(files(), st.data())
def test_a_patch_is_a_merge_patch(given_file: tuple[Any, str], data: st.DataObject) -> None:
    """RFC 7396, in every layout; what it does not name stays as it is written."""
    canvas, text = given_file
    nodes = {node["id"]: node for node in canvas.get("nodes", [])}
    if not nodes:
        return
    node = nodes[data.draw(st.sampled_from(sorted(nodes)))]
    patch = {"x": data.draw(st.integers(-5, 5)), "a": data.draw(st.none() | st.just({"b": None, "c": [1]}))}
    edit = parse(text).change("nodes", node["id"], patch)
    kept = {key: value for key, value in node.items() if key != "a"} | {"x": patch["x"]}
    assert json.loads(edit.item) == kept | ({"a": {"c": [1]}} if patch["a"] else {})
    parse(edit.text)


def test_an_equal_node_may_be_added_again_and_another_one_may_not() -> None:
    """So a request that is sent twice does no harm."""
    file = parse(parse(OBSIDIAN).add("nodes", TEXT_NODE).text)
    assert file.add("nodes", dict(reversed(TEXT_NODE.items()))).text == file.text
    with pytest.raises(NodeExists):
        file.add("nodes", TEXT_NODE | {"text": "other"})


def test_an_edge_needs_its_nodes_and_an_id_stays() -> None:
    file = parse(OBSIDIAN)
    with pytest.raises(InvalidCanvas, match="toNode: there is no such node"):
        file.add("edges", {"id": "e", "fromNode": FIRST, "toNode": "nowhere"})
    with pytest.raises(InvalidCanvas, match="fromNode: there is no such node"):
        file.change("edges", "1111111111111111", {"fromNode": "nowhere"})
    with pytest.raises(InvalidCanvas, match="id: an id stays"):
        file.change("nodes", FIRST, {"id": "other"})
    with pytest.raises(InvalidCanvas, match="url: Field required"):
        file.change("nodes", FIRST, {"type": "link"})


def test_what_is_not_there_is_named_so() -> None:
    file = parse(OBSIDIAN)
    for missing in (file.item, file.remove):
        with pytest.raises(NodeNotFound):
            missing("nodes", "1111111111111111")
    with pytest.raises(EdgeNotFound):
        file.change("edges", FIRST, {})


def test_a_number_that_json_cannot_hold_is_refused() -> None:
    """Python would write it as Infinity."""
    with pytest.raises(InvalidCanvas, match="too large"):
        parse("{}").add("nodes", TEXT_NODE | {"zoom": float("inf")})


def test_a_byte_order_mark_is_left_out() -> None:
    assert CanvasFile.parse(b'\xef\xbb\xbf{"nodes":[]}').text == '{"nodes":[]}'


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_what_a_change_makes_can_be_read_again() -> None:
    """What is nested as deeply as a file may be is too deep for a member of a node."""
    file = parse(OBSIDIAN)
    for levels in (196, 197):
        assert parse(file.add("nodes", {**TEXT_NODE, "more": nested(levels - 1)}).text)
        assert parse(file.change("nodes", FIRST, {"more": nested(levels - 1)}).text)
    for levels in (198, 199):
        with pytest.raises(InvalidCanvas, match="too deeply"):
            file.add("nodes", {**TEXT_NODE, "more": nested(levels)})
        with pytest.raises(InvalidCanvas, match="too deeply"):
            file.change("nodes", FIRST, {"more": nested(levels)})


def test_a_file_of_very_many_values_is_refused_before_it_is_read() -> None:
    """Each of them costs, at every request for the canvas."""
    with pytest.raises(CanvasTooLarge):
        parse('{"nodes":[],"more":[' + ",".join(["[]"] * 130_000) + "]}")
    assert parse('{"nodes":[],"more":[' + ",".join(["[]"] * 120_000) + "]}")
