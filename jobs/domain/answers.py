"""Answers out of passages: whether there is one, its best sentences, and what a language model may claim.

Pure rules. The figures behind the constants are in docs/decisions/0004-search.md.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from jobs.domain.chunks import Hit
from jobs.domain.citations import renumbered, without_citations
from jobs.domain.sentences import sentences
from jobs.domain.statements import statements
from jobs.domain.tokens import content_parts, content_terms, count_han, is_han, names, part_terms, stem, tokens

MAX_SOURCES = 8
MAX_SENTENCES = 3
WORD_WEIGHT = 0.4  # of a question's words in a passage, against the cosine of their vectors
LEXICAL_GATE = 0.5  # share of a question's words that a passage must hold when nothing else is known of it
_FEW_WORDS = 0.5  # of a question, that tell nothing by themselves if they are in the other script
_PASSAGE_WEIGHT = 0.5
_SIMILARITY_WEIGHT = 0.5
_COMPARED_SENTENCES = 16  # the best by words are compared by meaning too: 1 ms each
_MAX_PARTS = 200  # of a question, that count: who asks says it early, and each is looked for in each sentence
_MAX_SENTENCES_RATED = 2000
_SENTENCE_SHARE = 0.76  # of the best sentence's rate

Similarities = Callable[[list[str]], list[float]]  # of each text to the question


@dataclass(frozen=True)
class Citation:
    """What an answer rests on: `[n]` in its text is the n-th citation. `start` is an offset in the page's text."""

    document_id: int
    document_name: str
    page: int
    passage: str
    start: int


@dataclass(frozen=True)
class Answer:
    """An answer to a question.

    `mode` says who wrote it: `extractive` quotes sentences of the documents, `model` is a language model's text.
    `refused`: the documents do not answer the question. `model_error` is the code of why a configured model did not
    write the answer.
    """

    text: str
    citations: tuple[Citation, ...] = ()
    mode: Literal["extractive", "model"] = "extractive"
    refused: bool = False
    model_error: str | None = None


def supporting(question: str, hits: Sequence[Hit], gate: float | None) -> list[Hit]:
    """Return the passages that bear on a question, best first; none if the documents do not answer it.

    `gate` is the least relevance of a passage with a vector; None if the vectors' scale is not known.
    """
    covered = coverage_of(question)
    rated = [(_relevance(covered(hit.text), hit, gate), hit) for hit in hits]
    kept = [(rate, hit) for rate, hit in rated if rate >= _gate(hit, gate)]
    found = [hit for _, hit in sorted(kept, key=lambda item: -item[0])[:MAX_SOURCES]]
    return [] if _lacks_a_name(question, found, hits) or _shares_only_words(question, found) else found


def relevance(question: str, hit: Hit, gate: float | None) -> float:
    """Return how well a passage fits a question: by its words and, where the scale is known, by its meaning."""
    return _relevance(coverage(question, hit.text), hit, gate)


def coverage(question: str, text: str) -> float:
    """Return the share of a question's topic that a text holds, from 0 to 1. Two Chinese characters weigh as a word."""
    return coverage_of(question)(text)


def coverage_of(question: str) -> Callable[[str], float]:
    """Return what gives the coverage of texts, with the question read only once, and not more than its beginning."""
    parts = content_parts(question)[:_MAX_PARTS]
    weights = [len(part) / 2 if is_han(part[0]) else 1.0 for part in parts]
    total = sum(weights)

    def share(text: str) -> float:
        held = {stem(token) for token in tokens(text)}
        found = (weight * _held_share(part, held) for part, weight in zip(parts, weights, strict=True))
        return sum(found) / total if total else 0.0

    return share


def refusal(question: str, model_error: str | None = None) -> Answer:
    """Return the answer that there is none, in the question's language."""
    chinese = any(map(is_han, question))
    text = "文档中没有找到这个问题的答案。" if chinese else "The documents do not answer this question."
    return Answer(text, refused=True, model_error=model_error)


def extract(
    question: str,
    hits: Sequence[Hit],
    similarities: Similarities | None = None,
    neighbours: Sequence[Hit] = (),
    model_error: str | None = None,
) -> Answer:
    """Answer with the best sentences of passages that bear on the question, each with its citation.

    `neighbours` are passages around them, which complete sentences that were cut.
    """
    chosen = best_sentences(question, hits, similarities, neighbours)
    if not chosen:
        return refusal(question, model_error)
    cited = list(dict.fromkeys(hit for hit, _ in chosen))
    text = " ".join(f"{sentence} [{cited.index(hit) + 1}]" for hit, sentence in chosen)
    return Answer(text, tuple(map(_cite, cited)), model_error=model_error)


class UsedSources:
    """Numbers sources in the order in which a text cites them."""

    def __init__(self, sources: Sequence[Hit]) -> None:
        self._sources = sources
        self._used: list[int] = []

    @property
    def citations(self) -> tuple[Citation, ...]:
        """The sources that were cited, by their new numbers."""
        return tuple(_cite(self._sources[label - 1]) for label in self._used)

    def number(self, label: int) -> int | None:
        """Return the new number of a source; None if there is no such."""
        if not 1 <= label <= len(self._sources):
            return None
        if label not in self._used:
            self._used.append(label)
        return self._used.index(label) + 1


def checked(written: str, sources: Sequence[Hit]) -> Answer | None:
    """Return a model's text as an answer, or None if it rests on nothing.

    Numbers of passages that do not exist are taken out; the others are counted anew, in the order of their use.
    """
    used = UsedSources(sources)
    text = renumbered(written, used.number).strip()
    if not used.citations or not without_citations(text).strip():
        return None
    return Answer(text, used.citations, mode="model")


def _relevance(words: float, hit: Hit, gate: float | None) -> float:
    return words if gate is None or hit.similarity is None else hit.similarity + WORD_WEIGHT * words


def _gate(hit: Hit, gate: float | None) -> float:
    return LEXICAL_GATE if gate is None or hit.similarity is None else gate


def _lacks_a_name(question: str, found: Sequence[Hit], looked_at: Sequence[Hit]) -> bool:
    """Say whether a name of the question stands nowhere. In a Chinese text it may be written otherwise."""
    if any(map(_is_chinese, [question, *(hit.text for hit in found)])):
        return False
    held = {stem(token) for hit in looked_at for token in tokens(hit.text)}
    return any(stem(name) not in held for name in names(question))


def _shares_only_words(question: str, hits: Sequence[Hit]) -> bool:
    """Say whether all that texts share with a question is some words of the other script, such as a product's name.

    A name makes vectors alike too. What shares nothing with the question was found by its meaning, and may be right.
    """
    parts, covered = content_parts(question), coverage_of(question)
    han = {character for part in parts if is_han(part[0]) for character in part}
    if not han:
        shares = [covered(hit.text) for hit in hits if _is_chinese(hit.text)]
        return bool(shares) and len(shares) == len(hits) and len(parts) > 1 and 0 < max(shares) <= _FEW_WORDS
    words = {stem(part) for part in parts if not is_han(part[0])}
    held = [set(tokens(hit.text)) for hit in hits]
    named = any(stem(token) in words for some in held for token in some)
    return named and len(han) > 1 and all(len(han & some) < _FEW_WORDS * len(han) for some in held)


def _is_chinese(text: str) -> bool:
    return 3 * count_han(text) > sum(map(str.isalpha, text)) - count_han(text)  # a character says what three letters do


def _held_share(part: str, held: set[str]) -> float:
    if not is_han(part[0]):
        return float(stem(part) in held)
    covered: set[int] = set()
    for at, term in enumerate(part_terms(part)):
        if term in held:
            covered.update(range(at, at + len(term)))
    return len(covered) / len(part)


def best_sentences(
    question: str,
    hits: Sequence[Hit],
    similarities: Similarities | None = None,
    neighbours: Sequence[Hit] = (),
) -> list[tuple[Hit, str]]:
    """Return the sentences of passages that bear most on a question, best first, each with its passage."""
    pool = statements(hits, neighbours)
    pool = (pool or [(hit, line) for hit in hits for _, line in sentences(hit.text)])[:_MAX_SENTENCES_RATED]
    weights = _weights(content_terms(question)[:_MAX_PARTS], [line for _, line in pool])
    covered = coverage_of(question)
    fit = {hit: _PASSAGE_WEIGHT * (covered(hit.text) + (hit.similarity or 0.0)) for hit in hits}
    rated = sorted(((fit[hit] + _rate(weights, line), hit, line) for hit, line in pool), key=lambda item: -item[0])
    if similarities and rated:
        rated = rated[:_COMPARED_SENTENCES]
        meaning = similarities([line for _, _, line in rated])
        paired = zip(rated, meaning, strict=True)
        rated = [(rate + _SIMILARITY_WEIGHT * cosine, hit, line) for (rate, hit, line), cosine in paired]
        rated.sort(key=lambda item: -item[0])
    best = list({line: (rate, hit, line) for rate, hit, line in reversed(rated)}.values())[::-1]  # no line twice
    return [(hit, line) for rate, hit, line in best[:MAX_SENTENCES] if rate >= _SENTENCE_SHARE * best[0][0]]


def _weights(terms: Sequence[str], texts: Sequence[str]) -> dict[str, float]:
    held = [{stem(token) for token in tokens(text)} for text in texts]
    counts = {term: sum(term in words for words in held) for term in map(stem, terms)}
    return {term: math.log(1 + len(texts) / (1 + count)) for term, count in counts.items()}


def _rate(weights: dict[str, float], sentence: str) -> float:
    held = {stem(token) for token in tokens(sentence)}
    total = sum(weights.values())
    return sum(weight for term, weight in weights.items() if term in held) / total if total else 0.0


def _cite(hit: Hit) -> Citation:
    return Citation(hit.document_id, hit.document_name, hit.page, hit.text, hit.start)
