"""Reviews: what is picked, and a layout in which every question is seen and tied to its node."""

import json
from datetime import date
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.domain.canvas.errors import NothingToReview, ReviewTooLarge, UnknownNode
from jobs.domain.canvas.file import CanvasFile
from jobs.domain.canvas.names import canvas_name
from jobs.domain.canvas.review import MAX_REVIEWED, Card, lay_out, pick, review_name

DAY = date(2026, 1, 31)


def node(node_id: str, color: str = "", text: str | None = "什么是极限？") -> dict[str, Any]:
    kind = {"type": "file", "file": "a.md"} if text is None else {"type": "text", "text": text}
    return {"id": node_id, **kind, "x": 0, "y": 0, "width": 1, "height": 1} | ({"color": color} if color else {})


RAINBOW = [node(f"n{color}", color) for color in ("1", "2", "3", "4", "5", "6", "#AA00ff")] + [node("plain")]


@pytest.mark.parametrize(
    ("colors", "node_ids", "expected"),
    [
        (None, None, ["n1", "n6"]),
        (["3", "#aa00FF"], None, ["n3", "n#AA00ff"]),
        (None, ["plain", "n4", "plain"], ["n4", "plain"]),
    ],
)
def test_red_and_purple_nodes_are_picked_or_those_that_are_named(
    colors: list[str] | None, node_ids: list[str] | None, expected: list[str]
) -> None:
    """In the order of the canvas, each once."""
    assert [card.id for card in pick(RAINBOW, colors, node_ids)] == expected


def test_what_cannot_be_reviewed_is_said() -> None:
    with pytest.raises(NothingToReview, match=r"red \(1\) or purple \(6\)"):
        pick([node("a", "4")], None, None)
    with pytest.raises(NothingToReview, match="of the colours 2"):
        pick([node("a", "4")], ["2"], None)
    with pytest.raises(NothingToReview, match="has a text"):
        pick([node("a", "1", None), node("b", "1", " \n")], None, None)
    with pytest.raises(UnknownNode, match="'zz'"):
        pick(RAINBOW, None, ["n1", "zz"])
    with pytest.raises(ReviewTooLarge):
        pick([node(str(n), "1") for n in range(MAX_REVIEWED + 1)], None, None)


_texts = st.text("ab 中，👩\n\t\x00", max_size=500) | st.integers(0, 900).map("学习".__mul__)
_asked = st.lists(st.tuples(_texts, st.lists(_texts, max_size=5)), max_size=8)
_failed = st.lists(st.tuples(_texts, _texts), max_size=5)


@given(st.text("课abc .", min_size=1, max_size=200), _asked, _failed)
def test_no_card_covers_another_and_each_question_is_tied_to_its_node(
    source: str, asked: list[tuple[str, list[str]]], failed: list[tuple[str, str]]
) -> None:
    """Whatever the texts: the file is a canvas, with the nodes' own ids, and one edge from a node to each question."""
    questions = [(Card(f"n{index}", "text", text, "6"), found) for index, (text, found) in enumerate(asked)]
    failures = [(Card(f"f{index}", "text", text), "x", why) for index, (text, why) in enumerate(failed)]
    file = CanvasFile.parse(lay_out(source, DAY, questions, failures).encode())
    by_id = {card["id"]: card for card in list(file.items("nodes"))}
    for one, other in combinations(list(file.items("nodes")), 2):
        assert not _overlap(one, other)
    for card, found in questions:
        assert (by_id[card.id]["text"], by_id[card.id]["color"]) == (card.text, "6")
        assert [by_id[e["toNode"]]["text"] for e in list(file.items("edges")) if e["fromNode"] == card.id] == list(
            found
        )
    assert len(list(file.items("edges"))) == sum(len(found) for _, found in asked)
    assert len(list(file.items("nodes"))) == 1 + len(asked) + 2 * len(list(file.items("edges"))) + bool(failed)


def _overlap(one: Any, other: Any) -> bool:
    def apart(side: str, length: str) -> bool:
        low, high = sorted((one, other), key=lambda card: card[side])
        return bool(low[side] + low[length] <= high[side])

    return not (apart("x", "width") or apart("y", "height"))


def test_a_card_is_as_tall_as_its_text_and_chinese_is_wider() -> None:
    heights = []
    for text in ("a" * 30, "学" * 30, "学" * 300, "a\n" * 30, "学" * 100_000):
        card = json.loads(lay_out("s", DAY, [(Card("a", "text", text), [])]))["nodes"][1]
        heights.append(card["height"])
    assert heights[0] < heights[1] < heights[2]
    assert heights[3] > 30 * 20
    assert heights[4] == 2000


def test_failures_are_listed_on_a_card_of_their_own_in_the_language_of_the_canvas() -> None:
    why = "provider_timeout", "The service did not answer in time."
    failures, unreadable = [(Card("a", "text", "很长的笔记" * 50), *why)], [Card("b", "file", "")]
    listed = json.loads(lay_out("微积分", DAY, [], failures, unreadable))["nodes"][-1]
    lines = listed["text"].split("\n")
    assert lines[0] == "**以下节点没有问题：**"
    assert lines[1].startswith("- 很长的笔记")
    assert lines[1].endswith("…: 语言模型没有及时回答")
    assert len(lines[1]) < 90
    assert lines[2] == "- (file): 没有文字"
    other = json.loads(lay_out("微积分", DAY, [], [(Card("a", "text", "x"), "odd", "Odd.")]))["nodes"][-1]["text"]
    assert other.endswith("- x: 出错（odd）")
    english = json.loads(lay_out("calculus", DAY, [], [(Card("a", "text", "x"), *why)], unreadable))["nodes"]
    assert english[0]["text"].startswith("# Review of calculus\n2026-01-31, 0 questions.")
    assert english[1]["text"].startswith("**These nodes have no questions:**\n- x: The service did not answer in time.")


def test_ids_follow_from_the_nodes_and_never_meet_one_of_theirs() -> None:
    """A review that is laid out again is the same file, and hostile ids do not break it."""
    cards = [(Card("a", "text", "x"), ["q"])]
    first = lay_out("s", DAY, cards)
    assert lay_out("s", DAY, cards) == first
    stolen = next(CanvasFile(first).items("edges"))["toNode"]
    CanvasFile.parse(lay_out("s", DAY, [*cards, (Card(stolen, "text", "y"), ["q"])]).encode())


def test_a_review_is_named_after_its_canvas_and_day() -> None:
    assert review_name("微积分", DAY) == "微积分-review-2026-01-31"
    assert review_name("微积分", DAY, 3) == "微积分-review-2026-01-31-3"
    long = review_name("x" * 200, DAY, 12)
    assert canvas_name(long) == long
    assert long.endswith("xx-review-2026-01-31-12")
