"""Research: what is asked for, what is planned, what is found, and which of it goes into a report. Pure rules."""

import re
from collections.abc import Iterable, Sequence
from typing import Literal
from urllib.parse import urlsplit

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from jobs.domain.agents import Agent, AgentModel
from jobs.domain.answers import coverage
from jobs.domain.tokens import content_parts, count_han, is_han

Language = Literal["zh", "en"]
MAX_QUESTIONS = 10
MAX_QUESTION_CHARS = 300
MAX_TITLE_CHARS = 200
STAGES = {"plan": 0.0, "search": 5.0, "write": 40.0, "summary": 90.0, "done": 100.0}  # percent at which each begins
LEAST_TOKENS = 64  # of a section: with fewer there is no use in beginning it
_CANDIDATES = 12  # passages of a page that are looked at further
_TRACKING = re.compile(r"(?:^|&)(?:utm_\w+|gclid|fbclid)=[^&]*")
_PARTS = re.compile(r"[?？!！。；;\n]+|，?(?:以及|还有|并且)|,? (?:and also|as well as|and) |、", re.IGNORECASE)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")  # no database, no address and no reader wants them
_LEAST_PART = 4  # that a part of a query weighs, to be a question by itself: two words, or four Chinese characters
_ASPECTS = {
    "zh": ("{}：背景", "{}：原理", "{}：例子", "{}：局限"),
    "en": ("{}: background", "{}: how it works", "{}: examples", "{}: limits"),
}


class ResearchArgs(BaseModel):
    """What makes two pieces of research the same. `documents` are those that are searched: None none, empty all."""

    query: str
    language: Language
    model: str
    max_tokens: int = Field(default=800, ge=LEAST_TOKENS)
    documents: list[int] | None = []
    web: bool = False
    breadth: int = Field(default=4, ge=1, le=MAX_QUESTIONS)
    results: int = Field(default=5, ge=1)
    tokens: int | None = None
    searches: int | None = None
    minutes: float | None = None
    deadline: AwareDatetime | None = None
    user_id: str | None = None


class Source(BaseModel):
    """Where a passage stands: on a page of the web, or in a document. `page` is that of a PDF, or of a
    document of several."""

    model_config = ConfigDict(frozen=True)

    title: str
    url: str | None = None
    document_id: int | None = None
    page: int | None = None

    @property
    def key(self) -> str:
        """What makes it the same source as another."""
        place = same_address(self.url) if self.url else f"document {self.document_id}"
        return f"{place}#{self.page or ''}"


class Passage(BaseModel):
    """A piece of a source. The higher the `score`, the better it fits its question; `similarity` is their cosine."""

    source: Source
    text: str
    score: float = 0.0
    similarity: float | None = None


class Trouble(BaseModel):
    """A source that could not be used: its name, and the code of why."""

    what: str
    code: str


class Findings(BaseModel):
    """What one search brought: passages of `read` pages or documents. `skipped`: time was up before it."""

    passages: list[Passage] = []
    read: int = 0
    troubles: list[Trouble] = []
    skipped: bool = False


class Note(BaseModel):
    """Something that the reader of a report should know: what failed, was cut or left out."""

    code: str
    text: str


class Content(BaseModel):
    """What is kept of research that has ended. `messages` were told meanwhile; `error` is why it did not complete."""

    report: str
    sources: list[Source] = []
    notes: list[Note] = []
    messages: list[str] = []
    error: Note | None = None


class Section(BaseModel):
    """A question, and the passages that answer it."""

    question: str
    passages: list[Passage]


class PlanInput(AgentModel):
    """A query, and how many questions it is to be taken apart into."""

    query: str
    count: int = Field(ge=1, le=MAX_QUESTIONS)
    language: Language = "en"


class Plan(AgentModel):
    """A report's title, and the questions that its sections answer."""

    title: str = Field(min_length=1, max_length=MAX_TITLE_CHARS)
    questions: list[str] = Field(min_length=1, max_length=MAX_QUESTIONS)


def language_of(text: str) -> Language:
    """Return the language that most of a text is in; a Chinese character says what three letters do."""
    han = count_han(text)
    return "zh" if 3 * han > sum(map(str.isalpha, text)) - han else "en"


def derived(given: PlanInput) -> Plan:
    """Plan without a model: the query itself, or its parts if it has several, then aspects of its topic."""
    query = " ".join(given.query.split())
    parts = [part.strip(" ,，:：") for part in _PARTS.split(query)]
    parts = [part for part in parts if _weight(part) >= _LEAST_PART]
    topic = ("、" if given.language == "zh" else ", ").join(
        _as_written(part, query) for part in content_parts(query)[:6]
    )
    aspects = [aspect.format(topic) for aspect in _ASPECTS[given.language]]
    questions = [*(parts if len(parts) > 1 else [query]), *aspects][:MAX_QUESTIONS]
    return tidied(Plan(title=query[:MAX_TITLE_CHARS], questions=questions), given)


def tidied(plan: Plan, given: PlanInput) -> Plan:
    """Return a plan with each question once, on one line, and no more of them than were asked for."""
    lines = [_line(question).lstrip("#-*> ")[:MAX_QUESTION_CHARS] for question in plan.questions]
    lines = [line[:1].upper() + line[1:] for line in lines if line]
    questions = list({line.casefold(): line for line in reversed(lines)}.values())[::-1]
    title = _line(plan.title).lstrip("#> ") or given.query
    return Plan(title=title[:MAX_TITLE_CHARS], questions=questions[: given.count] or [given.query[:MAX_QUESTION_CHARS]])


PLAN = Agent(
    name="research-plan",
    description="Takes a query apart into the questions of a report.",
    input=PlanInput,
    output=Plan,
    system="You plan a research report. You write its title, and the questions that its sections answer, each of which "
    "can be looked up by itself. Together they answer the query. Write in the language whose code you are given.",
    template="Write {count} questions in the language {language} for this query:\n-----\n{query}\n-----",
    built_in=derived,
)


def same_address(url: str) -> str:
    """Return what two addresses of the same page have in common: no scheme, no fragment, no marks of advertisers."""
    parts = urlsplit(url)
    query = _TRACKING.sub("", parts.query).lstrip("&")
    host = (parts.hostname or "").removeprefix("www.")
    port = f":{parts.port}" if parts.port not in (None, 80, 443) else ""
    return f"{host}{port}{parts.path.rstrip('/')}{f'?{query}' if query else ''}"


def candidates(question: str, passages: Sequence[Passage]) -> list[Passage]:
    """Return the passages of a page that may bear on a question: by its words; if none has any, the first ones, which
    may say it in another language."""
    rated = [(coverage(question, passage.text), passage) for passage in passages]
    best = sorted((item for item in rated if item[0] > 0), key=lambda item: -item[0])[:_CANDIDATES]
    return [passage.model_copy(update={"score": rate}) for rate, passage in best or rated[: _CANDIDATES // 2]]


def chosen(passages: Iterable[Passage], limit: int, per_source: int = 2) -> list[Passage]:
    """Return the best passages, best first: no text twice, no more than `per_source` of a page while others wait."""
    kept: list[Passage] = []
    waiting: list[Passage] = []
    texts: set[str] = set()
    counts: dict[str, int] = {}
    for passage in sorted(passages, key=lambda each: -each.score):
        text = " ".join(passage.text.split())
        if text in texts:
            continue
        texts.add(text)
        counts[passage.source.key] = counts.get(passage.source.key, 0) + 1
        (kept if counts[passage.source.key] <= per_source else waiting).append(passage)
    return (kept + waiting)[:limit]


def _as_written(part: str, query: str) -> str:
    """Return a part of a query, which is in lower case, as the query has it."""
    at = query.lower().find(part)
    return query[at : at + len(part)] if at >= 0 and len(query.lower()) == len(query) else part


def _line(text: str) -> str:
    return " ".join(_CONTROL.sub(" ", text).split())


def _weight(text: str) -> int:
    return sum(len(part) if is_han(part[0]) else 2 for part in content_parts(text))
