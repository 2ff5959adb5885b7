"""What may be quoted of passages: whole sentences, completed from the passages around them."""

from jobs.domain.chunks import Hit
from jobs.domain.statements import statements

HEADER = "Developer's Reference, Release 12.18"


def hit(number: int, text: str, page: int = 1, start: int = 0) -> Hit:
    return Hit(number, 1, "a.pdf", page, start, text, 0.1, None)


def lines(hits: list[Hit], *neighbours: Hit) -> list[str]:
    return [line for _, line in statements(hits, neighbours)]


def test_a_sentence_that_was_cut_is_completed_from_the_next_passage() -> None:
    """Also across pages, and at the start of the passage; words cut by a hyphen are joined."""
    first = hit(1, "It rains. Ask the account man-")
    assert lines([first], hit(2, "agers first. They know.", start=31)) == [
        "It rains.",
        "Ask the account managers first.",
    ]
    second = hit(2, "已被丢弃的软件包。完。", page=2)
    assert lines([second], hit(1, "这个命令可以检查已经安装的所有软件中有哪些软件需要接手或")) == [
        "这个命令可以检查已经安装的所有软件中有哪些软件需要接手或已被丢弃的软件包。",
        "完。",
    ]


def test_a_sentence_whose_rest_is_not_known_is_not_quoted() -> None:
    """The next row may be another document's, or far away."""
    cut = hit(2, "who follow the rules. It is whole. An announcement that goes to everybody is made via the mailing")
    assert lines([cut]) == ["It is whole."]
    assert lines([cut], hit(3, "list.", page=9)) == ["It is whole."]


def test_what_stands_on_every_page_is_no_part_of_a_sentence() -> None:
    """Running headers and page numbers, also between the halves of a sentence."""
    texts = ("One. The red", "fox runs. The grey", "owl sleeps. The white", "hare eats.")
    pages = [hit(n, f"{HEADER}\n{text}\n{n}", page=n) for n, text in enumerate(texts, 1)]
    assert lines(pages[1:2], *pages) == ["The red fox runs.", "The grey owl sleeps."]
    assert lines([hit(1, "12")]) == []


def test_headings_and_questions_tell_nothing() -> None:
    """Nor do the lines of a table of contents, or the words before a list."""
    text = "3.2 Vacation . . . . . 12\n5.15 How long must it be kept?\nYou need:\n• Tea is kept in the kitchen."
    assert lines([hit(1, text)]) == ["• Tea is kept in the kitchen."]
