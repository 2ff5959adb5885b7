"""Reporting: write a report live, part by part, each of them once.

A part is a step: written again only if it was under way when the job had to leave, and then readers see no more of that
than where it says something else. Where a model cannot or may not write a section, it quotes its sources, and says so.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from jobs.answering import similarities
from jobs.calling import Call, lost_tokens, write
from jobs.core.live_text import LiveText
from jobs.domain.citations import CitedText, cited
from jobs.domain.report_notes import WAITING, note, told, unwritten
from jobs.domain.reports import (
    SourceList,
    heading,
    nothing_found,
    quotations,
    section_prompt,
    summary_prompt,
    summary_title,
)
from jobs.domain.research import LEAST_TOKENS, Language, Note, Section, Source
from jobs.providers.errors import DeadlinePassed, ProviderError
from jobs.providers.llm import Completion, Message
from jobs.providers.tokenizer import count_tokens
from jobs.report_events import CITED

if TYPE_CHECKING:
    from jobs.core.context import JobContext

CAPABILITY = "research"  # in the figures of usage
_PATIENCE = 300.0  # seconds for which research waits in all for an endpoint that is down; then it goes on without
_MARGIN = 1.25  # of estimated tokens: vocabularies differ by a fifth


class OutOfBudget(Exception):
    """A try to write does not fit into what is left; `code` is that of the note on it."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Part(BaseModel):
    """A part of a report as it was written, with what it cites for the first time."""

    text: str
    sources: list[Source] = []
    notes: list[Note] = []
    tokens: int = 0


@dataclass(frozen=True)
class Limits:
    """What a report may use: `tokens` in all, of them `section_tokens` written in one section, and the time `until`, in
    seconds since 1970."""

    section_tokens: int
    tokens: int | None = None
    until: float | None = None

    @property
    def time_is_up(self) -> bool:
        """Whether nothing more is to be begun."""
        return self.until is not None and time.time() >= self.until


@dataclass(frozen=True)
class _Unwritten:
    """Why the model has not written a part."""

    code: str
    budget: int | None = None
    reason: str = ""

    def notes(self, what: str, language: Language, question: str) -> list[Note]:
        return [unwritten(what, self.code, language, question=question, budget=self.budget, reason=self.reason)]


class ReportWriter:
    """Writes the parts of a report in their order. `sources`, `notes` and `tokens` are those of the report so far."""

    def __init__(self, ctx: "JobContext", query: str, language: Language, limits: Limits, user_id: str | None) -> None:
        self._ctx = ctx
        self._query = query
        self._language = language
        self._limits = limits
        self._user_id = user_id
        self._live = LiveText(ctx)
        self.sources: list[Source] = []
        self.notes: list[Note] = []
        self.tokens = 0

    @property
    def text(self) -> str:
        """The report so far."""
        return self._live.text

    @property
    def used(self) -> int:
        """All tokens that went into it, also those of answers that broke off."""
        return self.tokens + lost_tokens(self._ctx)

    def add(self, text: str) -> None:
        """Write what is there already."""
        self._live.write(text)
        self._live.flush()

    def section(self, name: str, section: Section, percent: float) -> None:
        """Have a model write a section from its passages, or quote them."""
        self._step(name, self._section, name, section, percent)

    def summary(self, percent: float) -> None:
        """Have a model sum up what is written, if that may still be."""
        self._step("summary", self._summary, percent)

    def end(self) -> None:
        """Let readers have all of it, and nothing else."""
        self._live.end()

    def _step(self, name: str, write_part: Callable[..., Part], *args: Any) -> None:
        """Write a part, or go on after one that was written before the job last left."""
        start = len(self._live.text)
        part = self._ctx.step(name, write_part, *args)
        self._live.back_to(start)
        self._live.write(part.text)
        self._live.flush()
        self.sources += part.sources
        self.notes += part.notes
        self.tokens += part.tokens

    def _section(self, name: str, section: Section, percent: float) -> Part:
        question, language = section.question, self._language
        self._ctx.progress(percent, told("writing", language, question=question))
        pen = _Pen(self._ctx, self._live, heading(question), self.sources, [p.source for p in section.passages])
        prompt = section_prompt(self._query, question, section.passages, language)
        written = self._written(name, question, prompt, pen)
        if isinstance(written, Part):
            return written
        pen.begin()
        compare = similarities(self._ctx.services.embedder, question)
        pen.quote(quotations(question, section.passages, compare), nothing_found(language))
        return pen.end(written.notes("section", language, question) if written else [])

    def _summary(self, percent: float) -> Part:
        self._ctx.progress(percent, told("summing_up", self._language))
        title = summary_title(self._language)
        pen = _Pen(self._ctx, self._live, heading(title), self.sources, self.sources)
        written = self._written("summary", title, summary_prompt(self.text, self._language), pen)
        if isinstance(written, Part):
            return written
        return Part(text="", notes=written.notes("summary", self._language, title) if written else [])

    def _written(self, name: str, question: str, prompt: tuple[str, str], pen: "_Pen") -> "Part | _Unwritten | None":
        """Have the model write; return why it has not, None if there is no model."""
        if self._ctx.services.llm is None:
            return None
        messages = [Message("system", prompt[0]), Message("user", prompt[1])]
        try:
            allowed = self._allowed(messages)
            call = model_call(name, messages, self._language, self._user_id, allowed, self._limits.until)
            completion = write(self._ctx, replace(call, before_try=partial(self._allowed, messages, allowed)), pen)
        except OutOfBudget as error:
            return _Unwritten(error.code, budget=self._limits.tokens)
        except DeadlinePassed:
            if pen.has_written:  # what that took is counted among what broke off
                return pen.end([note("out_of_time", self._language, question=question)])
            return _Unwritten("time_cut")
        except ProviderError as error:
            return _Unwritten("model_failed", reason=error.code)
        if not completion.text.strip():
            return _Unwritten("model_failed", reason="empty")
        return self._part(question, completion, pen)

    def _allowed(self, messages: Sequence[Message], least: int = LEAST_TOKENS) -> int:
        """Return how many tokens may be written now.

        Raises:
            OutOfBudget: the time is up, or it is not even the `least`.
        """
        if self._limits.time_is_up:
            raise OutOfBudget("time_cut")
        left = None if self._limits.tokens is None else self._limits.tokens - self.used
        allowed = allowance(left, self._limits.section_tokens, messages)
        if allowed < least:
            raise OutOfBudget("tokens_cut")
        return allowed

    def _part(self, question: str, completion: Completion, pen: "_Pen") -> Part:
        tokens = completion.prompt_tokens + completion.completion_tokens
        notes = []
        if completion.completion_tokens >= self._limits.section_tokens:
            notes.append(note("cut_off", self._language, question=question))
        if not pen.cites:
            notes.append(note("uncited", self._language, question=question))
        return pen.end(notes, tokens)


def model_call(
    key: str,
    messages: Sequence[Message],
    language: Language,
    user_id: str | None,
    max_tokens: int,
    until: float | None,
) -> Call:
    """Return a call for a report, for which no longer is waited than research has patience."""
    waiting = WAITING[language]
    return Call(key, messages, CAPABILITY, user_id, max_tokens, deadline=until, patience=_PATIENCE, waiting=waiting)


def allowance(left: int | None, wanted: int, messages: Sequence[Message]) -> int:
    """Return how many tokens a model may write, `wanted` at most, if it may use `left` with what it is told."""
    if left is None:
        return wanted
    return min(wanted, left - round(_MARGIN * sum(count_tokens(message.content) for message in messages)))


class _Pen:
    """Writes a part into the report, from its heading on at every try; `cites` once it names a source, `has_written`
    once there is text below the heading.

    The text cites `shown` by their places, from 1; readers are told of each source that is `known` from there on.
    """

    def __init__(
        self, ctx: "JobContext", live: LiveText, head: str, known: Sequence[Source], shown: Sequence[Source]
    ) -> None:
        self._ctx, self._live, self._head = ctx, live, head
        self._known, self._shown = list(known), list(shown)
        self._start = len(live.text)
        self.begin()

    def begin(self) -> None:
        """Write the heading; what was written below it is taken back."""
        self.cites = self.has_written = False
        self._sources = SourceList(self._known)
        self._told = set(range(1, len(self._known) + 1))
        self._text = CitedText(self._number)
        self._live.back_to(self._start)
        self._live.write(self._head)
        self._live.flush()

    def write(self, piece: str) -> None:
        """Go on."""
        self.has_written = self.has_written or bool(piece.strip())
        self._live.write(self._text.feed(piece))

    def quote(self, sentences: Sequence[tuple[str, int]], otherwise: str) -> None:
        """Write sentences of sources, each with the place of its own; numbers in them are not ours."""
        said = [f"{cited(sentence, lambda _: None)} [{self._number(label)}]" for sentence, label in sentences]
        self._live.write(" ".join(said) or otherwise)

    def end(self, notes: Sequence[Note] = (), tokens: int = 0) -> Part:
        """Return the part as it was written."""
        self._live.write(f"{self._text.end()}\n\n")
        new = self._sources.sources[len(self._known) :]
        return Part(text=self._live.text[self._start :], sources=new, notes=list(notes), tokens=tokens)

    def _number(self, label: int) -> int | None:
        if not 1 <= label <= len(self._shown):
            return None
        self.cites = True
        source = self._shown[label - 1]
        number = self._sources.number(source)
        if number not in self._told:
            self._told.add(number)
            self._ctx.emit(CITED, {"number": number, **source.model_dump()})
        return number
