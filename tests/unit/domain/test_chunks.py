"""Passages are exact pieces of their page."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.domain.chunks import HAN_PASSAGE_CHARS, LATIN_PASSAGE_CHARS, split_page, split_pages


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=3000))
def test_a_passage_is_where_it_says(text: str) -> None:
    """For any page: offsets count characters, passages do not overlap, and none is empty."""
    end = 0
    for passage in split_page(3, text):
        assert passage.page == 3
        assert text[passage.start : passage.start + len(passage.text)] == passage.text
        assert passage.start >= end
        assert passage.text.strip()
        end = passage.start + len(passage.text)


@pytest.mark.parametrize(
    ("sentence", "longest"),
    [("The cat sat on the mat and slept. ", LATIN_PASSAGE_CHARS[1]), ("猫坐在垫子上睡着了。", HAN_PASSAGE_CHARS[1])],
)
def test_passages_end_at_sentences(sentence: str, longest: int) -> None:
    """Chinese ones are shorter: a character says more."""
    found = split_page(1, sentence * 200)
    assert len(found) > 2
    assert all(len(passage.text) <= longest for passage in found)
    assert all(passage.text[-1] in ".。" for passage in found)


def test_pages_without_words_have_no_passages() -> None:
    """Page numbers and rules are not found by anyone."""
    assert list(split_pages([(1, ""), (2, " \n "), (3, "iv"), (4, "17"), (5, "-----"), (6, "茶")])) == split_page(
        6, "茶"
    )
