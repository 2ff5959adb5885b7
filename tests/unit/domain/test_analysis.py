"""What can be said of a conversation by its words."""

import pytest

from jobs.domain.analysis import MAX_QUESTIONS, MAX_TOPICS, Analysis, analyze, bounded
from jobs.domain.chat import Turn, no_answer


def said(*texts: str) -> list[Turn]:
    return [turn for text in texts for turn in (Turn("user", text), Turn("assistant", "好的。"))]


@pytest.mark.parametrize(
    ("text", "sentiment"),
    [
        ("Thank you, that was very helpful!", "positive"),
        ("谢谢，问题解决了。", "positive"),
        ("This is terrible, nothing works.", "negative"),
        ("Thanks, but the login failed again.", "mixed"),
        ("It is not good.", "negative"),
        ("我不满意，太差了。", "negative"),
        ("The login failed again.", "negative"),
        ("What is FastAPI?", "neutral"),
        ("今天星期几", "neutral"),
    ],
)
def test_the_sentiment_is_that_of_the_users_words(text: str, sentiment: str) -> None:
    assert analyze(said(text)).sentiment == sentiment


def test_topics_are_the_words_that_come_in_most_messages() -> None:
    """One that the caller has named goes first."""
    found = analyze(said("Flask workers", "Are Flask blueprints slow?", "flask"), "Web").topics
    assert found[:2] == ["Web", "flask"]
    assert analyze(said("谢谢，年假有多少天？")).topics == ["年假"]


def test_a_question_is_open_if_nothing_was_known_or_said() -> None:
    """Answered ones are not."""
    known = [Turn("user", "What is Flask?"), Turn("assistant", "A framework.")]
    unknown = [Turn("user", "年假有几天？"), Turn("assistant", no_answer("年假"))]
    unsaid = [Turn("user", "Hello. Are you there?")]
    assert analyze([*known, *unknown, *unsaid]).open_questions == ["年假有几天？", "Are you there?"]


def test_what_a_model_writes_is_cut_to_what_may_be_kept() -> None:
    wild = Analysis(topics=["a\0\nb"] + [f"{n}" * 500 for n in range(50)], sentiment="mixed", open_questions=["?"] * 90)
    kept = bounded(wild)
    assert (kept.topics[0], len(kept.topics), len(kept.topics[1])) == ("a b", MAX_TOPICS, 300)
    assert len(kept.open_questions) <= MAX_QUESTIONS
