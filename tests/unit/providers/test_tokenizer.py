"""Counting tokens where a model does not say."""

import pytest

from jobs.providers.tokenizer import count_tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("Hello, world!", 4),
        ("The quick brown fox jumps over the lazy dog.", 10),
        ("什么是 FastAPI？", 5),
        ("<|endoftext|>", 7),  # a user's text, and no word of control
    ],
)
def test_tokens_are_those_of_the_vocabulary(text: str, tokens: int) -> None:
    """The figures are those of OpenAI's tiktoken with `o200k_base`."""
    assert count_tokens(text) == tokens


def test_any_text_has_a_count() -> None:
    """Also what no encoding holds: a lone surrogate counts as the sign that stands for it."""
    assert count_tokens("a\ud800b") == count_tokens("a?b")
    assert count_tokens("\0") == 1


def test_a_chinese_text_has_fewer_tokens_than_characters() -> None:
    """Characters are not tokens: in this vocabulary a character has about three quarters of one."""
    text = "每位员工每年有二十八天年假，申请须在系统中提交。" * 50
    assert 0.5 < count_tokens(text) / len(text) < 0.95
