"""The rules of research: plans without a model, sources that are the same, and passages that are worth showing."""

import pytest

from jobs.domain.research import (
    Passage,
    Plan,
    PlanInput,
    Source,
    candidates,
    chosen,
    derived,
    language_of,
    same_address,
    tidied,
)


def given(query: str, count: int = 10) -> PlanInput:
    return PlanInput(query=query, count=count, language=language_of(query))


def passage(text: str, score: float = 0.0, url: str = "https://a.example/") -> Passage:
    return Passage(source=Source(title="A", url=url), text=text, score=score)


@pytest.mark.parametrize(
    ("query", "questions"),
    [
        (
            "睡眠如何影响记忆以及学习效率？",
            ["睡眠如何影响记忆", "学习效率", "睡眠、影响记忆、学习效率：背景", "睡眠、影响记忆、学习效率：原理"],
        ),
        (
            "How does sleep affect memory and mood?",
            [
                "How does sleep affect memory and mood?",
                "Sleep, affect, memory, mood: background",
                "Sleep, affect, memory, mood: how it works",
                "Sleep, affect, memory, mood: examples",
            ],
        ),
        (
            "Which queues are there for slow work, and how are failed jobs retried?",
            [
                "Which queues are there for slow work",
                "How are failed jobs retried",
                "Queues, slow, work, failed, jobs, retried: background",
                "Queues, slow, work, failed, jobs, retried: how it works",
            ],
        ),
        ("What is RQ", ["What is RQ", "RQ: background", "RQ: how it works", "RQ: examples"]),
    ],
)
def test_without_a_model_questions_follow_from_the_query(query: str, questions: list[str]) -> None:
    """The query itself, or its parts, then aspects of its topic, in its language."""
    plan = derived(given(query, 4))
    assert (plan.title, plan.questions) == (query, questions)


@pytest.mark.parametrize("query", ["x", "为什么", "?!", "word " * 700, "。" * 4000])
def test_every_query_has_a_plan(query: str) -> None:
    """Of at least one question, however odd it is."""
    plan = derived(given(query, 3))
    assert 1 <= len(plan.questions) <= 3
    assert all(len(question) <= 300 for question in plan.questions)


@pytest.mark.parametrize(
    ("text", "language"),
    [("RQ 是什么？", "zh"), ("Python 的优点", "zh"), ("What does 睡眠 mean in English?", "en"), ("?!", "en")],
)
def test_a_text_is_in_the_language_that_most_of_it_is_in(text: str, language: str) -> None:
    """Names of the other script do not change it."""
    assert language_of(text) == language


def test_a_models_plan_is_tidied() -> None:
    """Each question once, on one line, without signs of Markdown, and no more than were asked for."""
    plan = Plan(title="#  A\ntitle ", questions=["## One?", "one?", "Two\n\n# and a half?", " ", "Three?", "Four?"])
    assert tidied(plan, given("q", 3)) == Plan(title="A title", questions=["One?", "Two # and a half?", "Three?"])
    assert tidied(Plan(title=" ", questions=[" "]), given("q")) == Plan(title="q", questions=["q"])


@pytest.mark.parametrize(
    "other",
    [
        "http://example.com/page?id=1",
        "https://www.example.com/page?id=1",
        "https://EXAMPLE.com:443/page/?id=1#part",
        "https://example.com/page?utm_source=x&id=1&gclid=2",
    ],
)
def test_addresses_of_the_same_page_are_the_same_source(other: str) -> None:
    """Whatever a search engine or an advertiser has added."""
    assert same_address(other) == same_address("https://example.com/page?id=1")
    assert Source(title="A", url=other).key == Source(title="B", url="https://example.com/page?id=1").key


@pytest.mark.parametrize(
    "other", ["https://example.com/page?id=2", "https://example.com/", "https://other.com/page?id=1"]
)
def test_addresses_of_other_pages_are_others(other: str) -> None:
    """The query counts, and so do the path and the host."""
    assert same_address(other) != same_address("https://example.com/page?id=1")


def test_pages_of_a_document_are_sources_of_their_own() -> None:
    """A report names the page."""
    pages = [Source(title="a.pdf", document_id=1, page=page) for page in (1, 2)]
    assert pages[0].key != pages[1].key != Source(title="a.pdf", document_id=2, page=2).key


def test_candidates_share_words_with_the_question_or_are_the_first() -> None:
    """A page in another language shares none, and may say it all the same."""
    page = [passage(f"About {word}.") for word in ("cats", "sleep and memory", "sleep", "dogs")]
    assert [each.text for each in candidates("Does sleep help memory?", page)] == [
        "About sleep and memory.",
        "About sleep.",
    ]
    assert len(candidates("睡眠如何巩固记忆？", page)) == 4
    assert len(candidates("sleep", [passage(f"sleep {n}") for n in range(100)])) == 12


def test_the_best_passages_are_chosen_from_several_sources() -> None:
    """No text twice, and no more than two of a page while other pages have something to say."""
    many = [passage(f"text {n}", 1 - n / 10) for n in range(5)]
    others = [passage("text 0", 0.9, "https://b.example/"), passage("other", 0.1, "https://b.example/")]
    assert [each.text for each in chosen([*many, *others], 4)] == ["text 0", "text 1", "other", "text 2"]
