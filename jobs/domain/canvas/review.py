"""Reviews: which nodes of a canvas are not understood yet, and a canvas with questions about them.

Colours are those of the Canvas Learning System, by JSON Canvas's presets.
"""

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import count
from math import ceil
from typing import Any

from jobs.domain.canvas.errors import NothingToReview, ReviewTooLarge, UnknownNode
from jobs.domain.canvas.file import write_canvas
from jobs.domain.canvas.names import MAX_NAME_CHARS
from jobs.domain.tokens import is_han

NOT_UNDERSTOOD = "1"  # red
OWN_WORDS = "3"  # yellow: an explanation in the learner's own words
UNDERSTOOD = "4"  # green
PARTLY_UNDERSTOOD = "6"  # purple
TO_REVIEW = (NOT_UNDERSTOOD, PARTLY_UNDERSTOOD)

MAX_REVIEWED = 1000  # nodes

# Pixels, for Obsidian's default font.
WIDTH = 400
_PADDING = 24
_LINE = 24
_CELL = 9  # of a Latin letter, with what a line loses at its end; a Chinese character takes two
_MIN_HEIGHT, _MAX_HEIGHT = 60, 2000  # a longer text scrolls in its card
_QUESTIONS_X = WIDTH + 120
_ANSWERS_X = _QUESTIONS_X + WIDTH + 40
_CARD_GAP, _ROW_GAP = 30, 80
_NOTE_COLOR = "2"  # orange
_EXCERPT_CHARS = 60

# Why a node has no question, by the code of its error.
_REASONS_ZH = {
    "provider_unavailable": "无法连接语言模型，或语言模型出错",
    "provider_timeout": "语言模型没有及时回答",
    "provider_busy": "语言模型太忙",
    "provider_nonsense": "语言模型的回答无法读取",
    "provider_refused": "语言模型拒绝了这个请求",
    "answer_unfit": "语言模型的回答不符合要求的格式",
    "circuit_open": "语言模型接连出错，暂停调用",
}


@dataclass(frozen=True)
class Card:
    """A node that is to be reviewed. What is no text has an empty `text`, and its file, page or label as `title`."""

    id: str
    type: str
    text: str
    color: str = ""
    title: str = ""

    @property
    def readable(self) -> bool:
        """Whether there is something to ask about."""
        return bool(self.text.strip())

    @property
    def excerpt(self) -> str:
        """The beginning of its text, on one line; what else is known of it, if it has none."""
        text = " ".join(self.text.split() or self.title.split())
        return (text if len(text) <= _EXCERPT_CHARS else f"{text[:_EXCERPT_CHARS]}…") or f"({self.type})"


def pick(
    nodes: Sequence[Mapping[str, Any]], colors: Sequence[str] | None, node_ids: Sequence[str] | None
) -> list[Card]:
    """Return the nodes that are to be reviewed, in their order: those of the ids, or of the colours, or red and purple.

    Raises:
        UnknownNode: there is none of an id.
        NothingToReview: none is of these colours, or none of them has a text.
        ReviewTooLarge: there are more than `MAX_REVIEWED`.
    """
    if node_ids is not None:
        named = set(node_ids)
        if unknown := named - {node["id"] for node in nodes}:
            raise UnknownNode(f"The canvas has no node {min(unknown)[:100]!r}.")
        found = [node for node in nodes if node["id"] in named]
    else:
        wanted = {color.lower() for color in colors or TO_REVIEW}
        found = [node for node in nodes if node.get("color", "").lower() in wanted]
    cards = [_card(node) for node in found]
    if not any(card.readable for card in cards):
        raise NothingToReview(_why_nothing(cards, colors))
    if len(cards) > MAX_REVIEWED:
        raise ReviewTooLarge(f"{len(cards)} nodes are to be reviewed; a review has {MAX_REVIEWED} at most.")
    return cards


def review_name(source: str, day: date, number: int = 1) -> str:
    """Return the name of the review of a canvas, the `number`-th of that day."""
    suffix = f"-review-{day:%Y-%m-%d}" + (f"-{number}" if number > 1 else "")
    return source[: MAX_NAME_CHARS - len(suffix)].rstrip() + suffix


def lay_out(
    source: str,
    day: date,
    questions: Sequence[tuple[Card, Sequence[str]]],
    failures: Sequence[tuple[Card, str, str]] = (),
    unreadable: Sequence[Card] = (),
) -> str:
    """Return a review as a canvas file: a row for each node, with its copy at the left, a card for each question tied
    to it, and beside that an empty one for the answer; then those without questions, and why: of `failures` by the code
    and the English text of the error.

    No card covers another.
    """
    cards = [*(card for card, _ in questions), *(card for card, _, _ in failures), *unreadable]
    chinese = any(map(is_han, source + "".join(card.text[:200] for card in cards)))
    sheet = _Sheet({card.id for card in cards})
    sheet.note(_title(source, day, sum(len(asked) for _, asked in questions), chinese))
    for card, asked in questions:
        sheet.row(card, asked)
    no_text = "没有文字" if chinese else "no text"
    failed = [(card, _reason(code, message, chinese)) for card, code, message in failures]
    if without := [*failed, *((card, no_text) for card in unreadable)]:
        sheet.note(_without(without, chinese), _NOTE_COLOR)
    return write_canvas(sheet.nodes, sheet.edges)


class _Sheet:
    """The canvas as it is laid out, from top to bottom. Ids follow from the nodes', and are never one of `taken`."""

    def __init__(self, taken: set[str]) -> None:
        self.nodes: list[Mapping[str, Any]] = []
        self.edges: list[Mapping[str, Any]] = []
        self._taken = taken
        self._y = 0

    def note(self, text: str, color: str = "") -> None:
        width = _ANSWERS_X + WIDTH
        height = _height(text, width)
        self._put(self._id("note", str(self._y)), text, color, 0, self._y, height, width)
        self._y += height + _ROW_GAP

    def row(self, card: Card, asked: Sequence[str]) -> None:
        height = _height(card.text)
        self._put(card.id, card.text, card.color, 0, self._y, height)
        y = self._y
        for number, question in enumerate(asked):
            question_id = self._id(card.id, f"question {number}")
            tall = _height(question)
            self._put(question_id, question, NOT_UNDERSTOOD, _QUESTIONS_X, y, tall)
            self._put(self._id(card.id, f"answer {number}"), "", OWN_WORDS, _ANSWERS_X, y, tall)
            self._tie(card.id, question_id)
            y += tall + _CARD_GAP
        self._y = max(self._y + height, y - _CARD_GAP) + _ROW_GAP

    def _put(self, node_id: str, text: str, color: str, x: int, y: int, height: int, width: int = WIDTH) -> None:
        node = {"id": node_id, "type": "text", "text": text, "x": x, "y": y, "width": width, "height": height}
        self.nodes.append(node | ({"color": color} if color else {}))

    def _tie(self, node_id: str, question_id: str) -> None:
        ends = {"fromNode": node_id, "fromSide": "right", "toNode": question_id, "toSide": "left"}
        self.edges.append({"id": self._id(node_id, question_id), **ends})

    def _id(self, *parts: str) -> str:
        for number in count():
            found = hashlib.sha256("\0".join([*parts, str(number)]).encode()).hexdigest()[:16]
            if found not in self._taken:
                self._taken.add(found)
                return found
        raise AssertionError


def _card(node: Mapping[str, Any]) -> Card:
    text = node["text"] if node["type"] == "text" else ""
    title = node.get("file") or node.get("url") or node.get("label") or ""
    return Card(node["id"], node["type"], text, node.get("color", ""), title if isinstance(title, str) else "")


def _why_nothing(cards: Sequence[Card], colors: Sequence[str] | None) -> str:
    if cards:
        return "None of these nodes has a text to ask about."
    wanted = colors or TO_REVIEW
    which = "red (1) or purple (6)" if set(wanted) == set(TO_REVIEW) else f"of the colours {', '.join(wanted)}"
    return f"No node of this canvas is {which}. Choose others by `colors` or `node_ids`."


def _title(source: str, day: date, number: int, chinese: bool) -> str:
    if chinese:
        how = "请用自己的话在黄色卡片里作答，然后给问题换颜色：绿色为已懂，紫色为似懂非懂，红色为不懂。"
        return f"# 检验白板：{source}\n{day:%Y-%m-%d}，{number} 个问题。{how}"
    how = "Answer in your own words on the yellow cards; then colour each question: green for understood, purple for"
    how += " partly, red for not."
    return f"# Review of {source}\n{day:%Y-%m-%d}, {number} questions. {how}"


def _without(failures: Sequence[tuple[Card, str]], chinese: bool) -> str:
    head = "以下节点没有问题：" if chinese else "These nodes have no questions:"
    return "\n".join([f"**{head}**", *(f"- {card.excerpt}: {why}" for card, why in failures)])


def _reason(code: str, message: str, chinese: bool) -> str:
    return _REASONS_ZH.get(code, f"出错（{code}）") if chinese else message


def _height(text: str, width: int = WIDTH) -> int:
    """Return how tall a card must be to show a text."""
    cells = (width - 2 * _PADDING) // _CELL
    lines = sum(max(1, ceil(_cells(line) / cells)) * (2 if line.startswith("#") else 1) for line in text.split("\n"))
    return min(_MAX_HEIGHT, max(_MIN_HEIGHT, 2 * _PADDING + lines * _LINE))


def _cells(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line)
