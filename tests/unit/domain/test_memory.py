"""What lasts of a conversation."""

import pytest

from jobs.domain.chat import Turn
from jobs.domain.memory import MAX_FACT_CHARS, MAX_FACTS, clean_facts, fact_key, in_own_words, transcript


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The user likes green tea.", "User likes the green tea"),
        ("用户喜欢喝绿茶。", "用户喜欢喝绿茶"),
        ("ＡＢＣ plan", "abc plan"),
    ],
)
def test_a_fact_is_the_same_however_it_is_written(one: str, other: str) -> None:
    assert fact_key(one) == fact_key(other)
    assert clean_facts([one, other]) == [one]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The user likes tea.", "The user does not like tea."),
        ("用户喜欢喝茶。", "用户不喜欢喝茶。"),
        ("The user has 2 cats.", "The user has 3 cats."),
        ("Ada manages Bob.", "Bob manages Ada."),
        ("!!!", "???"),
    ],
)
def test_facts_that_say_other_things_stay_apart(one: str, other: str) -> None:
    """A negation, a number, the order of words."""
    assert fact_key(one) != fact_key(other)


def test_what_a_model_writes_is_cut_to_what_may_be_kept() -> None:
    """One line, no NUL, no half of a character, not too long and not too many."""
    [line] = clean_facts(["  likes\n\ntea\0 \ud800 " + "x" * 1000, " ", ""])
    assert line.startswith("likes tea ?")
    assert len(line) == MAX_FACT_CHARS
    assert len(clean_facts([f"fact number {n}" for n in range(100)])) == MAX_FACTS


def test_without_a_model_it_is_the_users_own_words_that_tell_most() -> None:
    """What is said of oneself goes first; questions, and what the assistant says, are none."""
    turns = [
        Turn("user", "我叫王伟，住在上海。今天天气怎么样？"),
        Turn("assistant", "我是助手，我住在云端。"),
        Turn("user", "I work as a nurse. Is that hard?"),
    ]
    assert in_own_words(turns, None) == ["我叫王伟，住在上海。", "I work as a nurse."]


def test_a_conversation_of_questions_leaves_what_was_asked_about() -> None:
    assert in_own_words([Turn("user", "什么是装饰器？")], None) == ["用户问过：什么是装饰器？"]
    assert in_own_words([Turn("user", "What is it?")], "Python decorators") == [
        "The user asked about: Python decorators"
    ]
    assert in_own_words([Turn("assistant", "Hello.")], None) == []


def test_a_transcript_holds_the_newest_turns_that_fit() -> None:
    turns = [Turn("user", "a" * 50), Turn("assistant", "b" * 50), Turn("user", "c" * 50)]
    assert transcript(turns, 130) == "Assistant: " + "b" * 50 + "\n\nUser: " + "c" * 50
    assert len(transcript([Turn("user", "x" * 1000)], 100)) == 100
