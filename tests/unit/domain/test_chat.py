"""Chat without a model: what is looked at of a conversation, and of a message."""

from jobs.domain.answers import coverage, coverage_of
from jobs.domain.chat import Turn, from_conversation


def _said(text: str) -> list[Turn]:
    return [Turn("user", text), Turn("assistant", "Noted.")]


def test_an_answer_comes_from_what_the_user_said() -> None:
    turns = [*_said("My dog is called Rex."), *_said("It rains. 我的猫叫咪咪。")]
    assert from_conversation("What is my dog called?", turns) == "You said before: My dog is called Rex."
    assert from_conversation("我的猫叫什么？", turns) == "您之前说过：我的猫叫咪咪。"
    assert from_conversation("Where is the bicycle?", turns) is None


def test_a_message_is_compared_with_the_newest_sentences_only() -> None:
    """A conversation of very many short sentences must not hold up a web worker."""
    old, many = _said("My dog is called Rex."), _said("So it is. " * 250)
    assert from_conversation("What is my dog called?", [*old, *many]) is not None
    assert from_conversation("What is my dog called?", [*old, *many, *many]) is None


def test_of_a_long_question_the_beginning_counts() -> None:
    """Each of its words is looked for in each sentence."""
    words = [f"word{number}x" for number in range(1000)]
    assert coverage(" ".join(words), " ".join(words[:200])) == 1
    covered = coverage_of("How tall is the tower?")
    assert [covered(text) for text in ("A tower.", "A tall tower.", "A hill.")] == [0.5, 1, 0]
