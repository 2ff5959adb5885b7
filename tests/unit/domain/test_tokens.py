"""Tokens: what a text is found by."""

from hypothesis import given
from hypothesis import strategies as st

from jobs.domain.tokens import MAX_TOKEN_CHARS, content_terms, stem, tokens


def test_words_are_folded_and_runs_become_characters_and_pairs() -> None:
    """Full-width forms, capitals and accents of one letter are one."""
    assert tokens("Ｐｙｔｈｏｎ 3.11: dh_make") == ["python", "3", "11", "dh", "make"]
    assert tokens("编程语言") == ["编", "程", "语", "言", "编程", "程语", "语言"]
    assert tokens("用Python写") == ["用", "python", "写"]


def test_a_question_is_searched_by_its_topic() -> None:
    """Question words and grammar part the words of a Chinese question, and are left out of an English one."""
    assert content_terms("什么是 Python") == ["python"]
    assert content_terms("How do I report a lost laptop?") == ["report", "lost", "laptop"]
    assert content_terms("请问净化器的滤芯多久更换一次？") == ["净化", "化器", "滤芯", "更换", "换一", "一次"]


def test_a_question_of_grammar_alone_still_has_terms() -> None:
    """Something is better than nothing."""
    assert content_terms("what is it") == ["what", "is", "it"]
    assert content_terms("是什么") != []
    assert content_terms("?!") == []


def test_two_forms_of_an_english_word_compare_equal() -> None:
    """A rough cut, for comparing words only."""
    assert len({stem(word) for word in ("report", "reports", "reported", "reporting")}) == 1
    assert stem("store") == stem("stores") == stem("storing")
    assert stem("茶馆") == "茶馆"


@given(st.text())
def test_tokens_hold_letters_and_digits_only(text: str) -> None:
    """So none is an operator of a query language, for any text."""
    for token in tokens(text) + content_terms(text):
        assert token.isalnum()
        assert len(token) <= MAX_TOKEN_CHARS
        token.encode()
