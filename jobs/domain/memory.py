"""Memory: what lasts of a conversation, when two facts are the same, and what is told of them."""

import hashlib
import re
from collections.abc import Sequence

from pydantic import BaseModel, Field

from jobs.domain.agents import MAX_TEXT, QUOTED, Agent, AgentModel
from jobs.domain.chat import Turn, one_line
from jobs.domain.sentences import sentences
from jobs.domain.tokens import content_parts, content_terms, is_han, stem, tokens

MAX_FACT_CHARS = 300
MAX_FACTS = 20  # of one conversation
_OWN_WORDS = 5  # facts of a conversation without a model
_LEAST_CHARS = 4
_NEGATIONS = frozenset(
    {"not", "no", "never", "cannot", "isn", "don", "doesn", "didn", "won", "不", "没", "未", "别", "无"}
)
_OF_ONESELF = re.compile(r"\b(?:i|i'm|i've|my|me|mine|we|our|us)\b|我|本人|咱", re.IGNORECASE)
_QUESTION = ("?", "？", "吗", "吗。", "呢")


class MemorizeInput(AgentModel):
    """A conversation, and what is known of the user already, a numbered line for each fact."""

    text: str = Field(min_length=1, max_length=MAX_TEXT)
    known: str = Field(default="", max_length=MAX_TEXT)


class MemorizeOutput(BaseModel):
    """New facts, and the numbers of known ones that are true no longer."""

    facts: list[str]
    outdated: list[int] = []


MEMORIZE = Agent(
    name="memorize",
    description="Sums a conversation up into lasting facts about the user.",
    input=MemorizeInput,
    output=MemorizeOutput,
    system="You keep notes on a user. From a conversation you take down what will still matter in weeks: who the user "
    "is, what the user does, knows, likes, wants and has decided. One short sentence for each fact, in the language "
    "that the user writes, about the user only: nothing that the assistant merely explained, no passwords and no "
    "secrets. Write down what is new; if a known fact is no longer true, give its number as outdated. Without anything "
    f"new, give no facts. {QUOTED}",
    template="What is known:\n-----\n{known}\n-----\nThe conversation:\n-----\n{text}\n-----",
)


def transcript(turns: Sequence[Turn], max_chars: int = MAX_TEXT) -> str:
    """Return a conversation as text, a paragraph for each turn; the newest turns that fit."""
    kept: list[str] = []
    left = max_chars
    for turn in reversed(turns):
        paragraph = f"{'User' if turn.role == 'user' else 'Assistant'}: {turn.text.strip()}"[:max_chars]
        left -= len(paragraph) + 2
        if left < -2:
            break
        kept.append(paragraph)
    return "\n\n".join(reversed(kept))


def numbered(facts: Sequence[str]) -> str:
    """Return facts as a model is told them: a line for each, with its number."""
    return "\n".join(f"{number}. {fact}" for number, fact in enumerate(facts, 1))


def fact_key(fact: str) -> str:
    """Return what is the same for two texts that say the same: their telling words, in order, and what negates them."""
    negations = [token for token in tokens(fact) if token in _NEGATIONS]
    said = [*("not" for _ in negations), *(stem(term) for term in content_terms(fact))]
    return hashlib.sha256("\n".join(said or [fact]).encode("utf-8", "replace")).hexdigest()


def clean_facts(facts: Sequence[str]) -> list[str]:
    """Return facts as they may be kept: on one line, none twice, not too long, not too many."""
    kept: dict[str, str] = {}
    for fact in facts:
        line = one_line(fact, MAX_FACT_CHARS)
        if line:
            kept.setdefault(fact_key(line), line)
    return list(kept.values())[:MAX_FACTS]


def in_own_words(turns: Sequence[Turn], topic: str | None) -> list[str]:
    """Return what the user said that tells most, as facts; without any statement, what the user asked about."""
    said = [sentence for turn in turns if turn.role == "user" for _, sentence in sentences(turn.text)]
    telling = sorted((one for one in said if _is_statement(one)), key=_telling, reverse=True)[:_OWN_WORDS]
    if telling:
        return clean_facts([one for one in said if one in telling])  # as they were said, in that order
    if not said:
        return []
    asked = topic or said[0]
    return clean_facts([f"用户问过：{asked}" if any(map(is_han, asked)) else f"The user asked about: {asked}"])


def _is_statement(sentence: str) -> bool:
    return len(sentence) >= _LEAST_CHARS and not sentence.rstrip().endswith(_QUESTION)


def _telling(sentence: str) -> tuple[bool, int]:
    return bool(_OF_ONESELF.search(sentence)), len(content_parts(sentence))
