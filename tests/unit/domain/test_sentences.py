"""Sentences of both languages, also across the lines of a page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.domain.sentences import joined, sentences

UNDER_HEADING = """It ends here, at the end of a line of this page's width.
Keeping and forgetting
Work that has ended can be looked up for 168 hours, that is
one week."""
CUT = "A line that is cut by the width of its page."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("一篇关于 Python 的文档。Python 是语言。", ["一篇关于 Python 的文档。", "Python 是语言。"]),
        ("他说：“走吧！”然后走了。真的吗？", ["他说：“走吧！”", "然后走了。", "真的吗？"]),
        ("Dr. Smith paid 3.50 euros, e.g. for tea. He left.", ["Dr. Smith paid 3.50 euros, e.g. for tea.", "He left."]),
        ('"Stop!" Then silence.', ['"Stop!"', "Then silence."]),
        ("A line that is cut by the width\nof its page. 中文\n也会。", [CUT, "中文也会。"]),
        ("4.9 Package information\nEach package has pages.", ["4.9 Package information", "Each package has pages."]),
        ("You need:\n• a cup\n• tea", ["You need:", "• a cup", "• tea"]),
        ("The account man-\nagers use a self-\nsigned key.", ["The account managers use a self-signed key."]),
        ("1.2 Vacation . . . . . . 12\n2.1 Next", ["1.2 Vacation . . . . . . 12", "2.1 Next"]),
        (
            UNDER_HEADING,
            [
                "It ends here, at the end of a line of this page's width.",
                "Keeping and forgetting",
                "Work that has ended can be looked up for 168 hours, that is one week.",
            ],
        ),
        ("Cleaning\nUnplug it first.", ["Cleaning", "Unplug it first."]),
    ],
)  # fmt: skip
def test_a_text_is_cut_at_its_sentences(text: str, expected: list[str]) -> None:
    """Abbreviations and numbers do not end one; headings and list items stand alone."""
    assert [sentence for _, sentence in sentences(text)] == expected


@given(st.text(alphabet=st.sampled_from("aB.。!？ \n\t”)•1猫"), max_size=200))
def test_nothing_is_lost_or_moved(text: str) -> None:
    """Every character but white space is in one sentence, in order, and the offset is the sentence's first."""
    found = sentences(text)
    assert "".join("".join(sentence.split()) for _, sentence in found) == "".join(text.split())
    assert all(text[offset] == sentence[0] for offset, sentence in found)


def test_lines_are_joined_as_their_script_asks() -> None:
    """With a space between words, without one inside Chinese."""
    assert joined("one\ntwo\n茶\n馆 a\n\n b") == "one two 茶馆 a b"
