"""Analysis of a conversation: its topics, how its user felt, what stayed open."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, Field

from jobs.domain.agents import MAX_TEXT, QUOTED, Agent, AgentModel
from jobs.domain.chat import Turn, gives_no_answer, one_line
from jobs.domain.sentences import sentences
from jobs.domain.tokens import content_parts, count_han, is_han, stem

MAX_TOPICS = 5
MAX_QUESTIONS = 5
_MAX_CHARS = 300  # of a topic or a question
_LONGEST_TOPIC = 12  # Chinese characters: a longer run between words of grammar is a clause, not a topic
_AROUND_TOPICS = "有叫一个想问做用"  # words of every sentence, that its grammar leaves at an edge
Sentiment = Literal["positive", "neutral", "negative", "mixed"]

_POSITIVE = re.compile(
    r"\b(?:thanks?|thank you|great|good|excellent|perfect|awesome|love|helpful|happy|glad|nice|works|solved)\b"
    r"|谢谢|感谢|太好了|很好|不错|喜欢|棒|满意|开心|高兴|解决了|有用|完美",
    re.IGNORECASE,
)
_NEGATIVE = re.compile(
    r"\b(?:bad|terrible|awful|wrong|broken|useless|hate|angry|annoy\w*|disappoint\w*|frustrat\w*|fails?|failed|error)\b"
    r"|糟糕|太差|很差|错误|不对|失望|生气|讨厌|没用|失败|坏了|烦|垃圾|投诉",
    re.IGNORECASE,
)
_NEGATED = re.compile(
    r"(?:\b(?:not|no|nothing|never|isn't|don't|doesn't|didn't|wasn't)\s+(?:\w+\s+)?|不太?|没有?|并非)$", re.IGNORECASE
)
_NEGATION_CHARS = 20  # before a word, that may negate it
_ASKS = re.compile(r"[?？]\s*$|(?:吗|呢)[。.]?\s*$")


class ConversationInput(AgentModel):
    """A conversation as text."""

    text: str = Field(min_length=1, max_length=MAX_TEXT)


class Analysis(BaseModel):
    """What a conversation was about, how its user felt, and which questions of the user were not answered."""

    topics: list[str]
    sentiment: Sentiment
    open_questions: list[str]


ANALYZE = Agent(
    name="analyze-conversation",
    description="Says what a conversation was about, how its user felt, and what stayed open.",
    input=ConversationInput,
    output=Analysis,
    system=f"You analyze conversations between a user and an assistant. Give up to {MAX_TOPICS} topics of one to four "
    "words, the user's sentiment, and the questions of the user that were not answered. Write in the language of the "
    f"user. {QUOTED}",
    template="-----\n{text}\n-----",
)


def bounded(analysis: Analysis) -> Analysis:
    """Return an analysis as it may be kept: not too many of anything, and nothing too long."""
    return Analysis(
        topics=_short(analysis.topics, MAX_TOPICS),
        sentiment=analysis.sentiment,
        open_questions=_short(analysis.open_questions, MAX_QUESTIONS),
    )


def analyze(turns: Sequence[Turn], topic: str | None = None) -> Analysis:
    """Return what can be said of a conversation without a model: by its words."""
    said = [turn.text for turn in turns if turn.role == "user"]
    topics = [topic] if topic else []
    return bounded(
        Analysis(topics=[*topics, *_topics(said)], sentiment=_sentiment(said), open_questions=_unanswered(turns))
    )


def _topics(texts: Sequence[str]) -> list[str]:
    """Return the words that come in most messages, the earlier ones first among equals."""
    shown: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for text in texts:
        parts = [part for part in map(_bare, content_parts(text)) if _is_topic(part)]
        keyed = {part if is_han(part[0]) else stem(part): part for part in reversed(parts)}
        counts.update(list(reversed(keyed)))
        shown = keyed | shown
    return [shown[key] for key, _ in counts.most_common(MAX_TOPICS)]


def _bare(part: str) -> str:
    return part.strip(_AROUND_TOPICS) if is_han(part[0]) else part


def _is_topic(part: str) -> bool:
    if len(part) < 2 or count_han(part) > _LONGEST_TOPIC:
        return False
    return not (_POSITIVE.fullmatch(part) or _NEGATIVE.fullmatch(part))


def _sentiment(texts: Sequence[str]) -> Sentiment:
    good = bad = 0
    for text in texts:
        praise = [_is_negated(text, match) for match in _POSITIVE.finditer(text)]
        blame = [_is_negated(text, match) for match in _NEGATIVE.finditer(text)]
        good += praise.count(False)
        bad += praise.count(True) + blame.count(False)
    if good and bad:
        return "mixed"
    return "positive" if good else "negative" if bad else "neutral"


def _is_negated(text: str, match: re.Match[str]) -> bool:
    return _NEGATED.search(text[max(0, match.start() - _NEGATION_CHARS) : match.start()]) is not None


def _unanswered(turns: Sequence[Turn]) -> list[str]:
    """Return the questions of the user whose answer says that there is none."""
    found: list[str] = []
    for number, turn in enumerate(turns):
        answer = turns[number + 1] if number + 1 < len(turns) else None
        if turn.role == "user" and (answer is None or answer.role == "user" or gives_no_answer(answer.text)):
            found += [sentence for _, sentence in sentences(turn.text) if _ASKS.search(sentence)]
    return found


def _short(texts: Sequence[str], count: int) -> list[str]:
    return list(dict.fromkeys(filter(None, (one_line(text, _MAX_CHARS) for text in texts))))[:count]
