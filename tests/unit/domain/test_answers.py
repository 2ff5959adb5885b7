"""The rules of answers, without search or model. The labelled set is in tests/unit/test_answering.py."""

import pytest

from jobs.domain.answers import checked, coverage, extract, supporting
from jobs.domain.chunks import Hit
from jobs.domain.prompts import declines


def hit(number: int, text: str, similarity: float | None = None) -> Hit:
    return Hit(number, 1, "a.txt", number, 0, text, 0.1, similarity)


HITS = [hit(1, "The tower is 38 metres high."), hit(2, "The lamp burned oil."), hit(3, "The keeper served 31 years.")]


@pytest.mark.parametrize(
    ("written", "text", "pages"),
    [
        ("It is 38 m high [1].", "It is 38 m high [1].", [1]),
        ("Oil [2] and years [3], oil [2].", "Oil [1] and years [2], oil [1].", [2, 3]),
        ("Both [3, 1].", "Both [1] [2].", [3, 1]),
        ("灯烧油【2】。", "灯烧油 [1]。", [2]),
        ("High [1][9] and [0].", "High [1] and.", [1]),
    ],
)
def test_citations_are_counted_anew_and_made_up_ones_go(written: str, text: str, pages: list[int]) -> None:
    """[n] in the text is the n-th citation, always."""
    answer = checked(written, HITS)
    assert answer is not None
    assert (answer.text, [citation.page for citation in answer.citations]) == (text, pages)


@pytest.mark.parametrize("written", ["", "It is high.", "It is high [4].", "[1]", " [1] [2] ", "[99999999999]"])
def test_a_text_that_rests_on_nothing_is_no_answer(written: str) -> None:
    """Nor is a citation without a text."""
    assert checked(written, HITS) is None


def test_the_best_sentence_comes_first_with_its_citation() -> None:
    """Sentences of one passage share one citation."""
    passage = "The tower is of granite. The tower is 38 metres high. Gulls breed there."
    answer = extract("How high is the tower?", [hit(7, passage)])
    assert answer.text.startswith("The tower is 38 metres high. [1]")
    assert [(citation.page, citation.passage) for citation in answer.citations] == [(7, passage)]


def test_a_sentence_far_behind_the_best_one_is_left_out() -> None:
    """It fills the answer and tells nothing."""
    passage = "The tower of the harbour is 38 metres high. The harbour tower was painted. Gulls breed there."
    answer = extract("How high is the tower of the harbour in metres?", [hit(7, passage)])
    assert answer.text == "The tower of the harbour is 38 metres high. [1]"


def test_nothing_to_quote_is_a_refusal() -> None:
    """In the language of the question."""
    assert extract("多高？", []).refused


def test_coverage_counts_a_word_as_two_characters() -> None:
    """Of the topic only: question words do not count."""
    assert coverage("How tall is the tower?", "A tower.") == 0.5
    assert coverage("灯塔的高度是多少？", "灯塔很高。") == 0.5
    assert coverage("?", "anything") == 0


def test_a_passage_bears_on_a_question_by_words_or_by_meaning() -> None:
    """With a vector both count together; without one, or on an unknown scale, the words alone."""
    near, far, worded = hit(1, "Gulls.", 0.5), hit(2, "Gulls.", 0.1), hit(3, "The tower is tall.", 0.1)
    assert supporting("How tall is the tower?", [near, far, worded], 0.4) == [near, worded]
    assert supporting("How tall is the tower?", [near, far, worded], None) == [worded]


@pytest.mark.parametrize(
    ("question", "text", "answered"),
    [
        ("如何申请成为 Debian 成员？", "When you want to contribute to Debian, get in contact.", False),
        ("什么是 Debian？", "Debian is an operating system.", True),
        ("怎样上传软件包？", "To upload a package, use dput.", True),
        ("How do I become a Debian member?", "本章介绍 Debian 软件包的构建方法和工具。", False),
        ("What is quilt?", "quilt 命令用于管理补丁。", True),
        ("Python 是什么时候发明的？", "这是一篇关于 Python 的文档。", False),
        ("什么是 Python", "这是一篇关于 Python 的文档。", True),
        ("WiFi 连不上怎么办？", "WiFi 无法连接上时，请重启。", True),
        ("Does Debian support the Nintendo Switch?", "Debian started to support other kernels.", False),
        ("Does Debian support Linux on Mondays?", "Debian supports Linux on weekdays.", True),
    ],
)
def test_a_shared_name_is_not_evidence(question: str, text: str, answered: bool) -> None:
    """However near the vectors are: the rest of the question must stand there too, or its names at least."""
    assert bool(supporting(question, [hit(1, text, 0.6)], 0.4)) == answered


def test_a_model_declines_by_the_agreed_word_or_by_silence() -> None:
    """Also with other words around it."""
    assert declines("NO_ANSWER")
    assert declines("Sorry: NO_ANSWER.")
    assert declines("  ")
    assert not declines("No.")
