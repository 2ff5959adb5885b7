"""Whole sentences of passages: what an answer may quote.

A passage may begin or end within a sentence; the passage before or after it in the document holds the rest. Headings,
lines of a table of contents and what stands on every page say nothing.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from jobs.domain.chunks import Hit
from jobs.domain.sentences import ends_sentence, joined, sentences
from jobs.domain.tokens import is_han

_LEADERS = re.compile(r"(?:\.\s?){4,}")  # the dots of a table of contents
_NUMBERED = re.compile(r"\d+(?:\.\d+)+\.?\s")
_EDGE_LINES = 3  # of a passage, that may stand on every page
_EVERY_PAGE = 3  # pages with the same line, numbers apart
_LONGEST = 200  # characters of a line that is whole without a sentence's end
_LONG = 60  # Latin characters; a heading is shorter

_Line = tuple[int, str]  # document, line without its numbers


def statements(hits: Sequence[Hit], neighbours: Iterable[Hit] = ()) -> list[tuple[Hit, str]]:
    """Return the sentences that begin or end in passages, each with its passage; `neighbours` complete them."""
    known = {hit.passage_id: hit for hit in (*neighbours, *hits)}
    repeated = _repeated(known.values())
    found = []
    for hit in hits:
        before, after = known.get(hit.passage_id - 1), known.get(hit.passage_id + 1)
        lead = _bare(before, repeated) + _gap(before, hit) if before and _follow(before, hit) else ""
        tail = _gap(hit, after) + _bare(after, repeated) if after and _follow(hit, after) else ""
        found += [(hit, line) for line in _whole(lead, _bare(hit, repeated), tail)]
    return found


def _whole(lead: str, body: str, tail: str) -> list[str]:
    """Return the sentences of `body` that are whole, with what belongs to them of the text around it."""
    text = lead + body + tail
    units = sentences(text)
    ends = [start for start, _ in units[1:]] + [len(text)][: len(units)]  # none, if nothing but headers was there
    kept = []
    previous: str | None = None
    for (start, line), end in zip(units, ends, strict=True):
        overlaps = start < len(lead) + len(body) and end > len(lead)
        headless = line[0].islower() and (previous is None or _is_piece(previous))
        cut = headless or _is_piece(line) or (end == len(text) and not ends_sentence(line))
        previous = line
        if overlaps and not cut and _is_statement(line):
            kept.append(line)
    return kept


def _is_statement(line: str) -> bool:
    """Say whether a line tells something: not a heading, a question or the words before a list."""
    if _LEADERS.search(line) or _NUMBERED.match(line) or line.endswith((",", ":", "-", "，", "：", "、", "?", "？")):
        return False
    return ends_sentence(line) or sum(3 if is_han(character) else 1 for character in line) >= _LONG


def _is_piece(line: str) -> bool:
    """Say whether a line is long enough to have been cut from something that has no sentence ends."""
    return len(line) > _LONGEST and not ends_sentence(line)


def _follow(first: Hit, second: Hit) -> bool:
    """Say whether one passage is the next after another, or the first of the next page."""
    if first.document_id != second.document_id:
        return False
    if first.page == second.page:
        return first.start + len(first.text) <= second.start
    return first.page + 1 == second.page


def _gap(first: Hit, second: Hit) -> str:
    if first.page != second.page:
        return "\n"
    return ("", "\n")[second.start > first.start + len(first.text)]


def _repeated(passages: Iterable[Hit]) -> set[_Line]:
    pages: defaultdict[_Line, set[int]] = defaultdict(set)
    for hit in passages:
        lines = hit.text.splitlines()
        for line in {*lines[:_EDGE_LINES], *lines[-_EDGE_LINES:]}:
            pages[hit.document_id, _unnumbered(line)].add(hit.page)
    return {line for line, on in pages.items() if len(on) >= _EVERY_PAGE}


def _bare(hit: Hit, repeated: Collection[_Line]) -> str:
    """Return a passage's text without the lines at its edges that stand on every page, and page numbers."""
    lines = hit.text.split("\n")
    kept = []
    for number, line in enumerate(lines):
        edge = number < _EDGE_LINES or number >= len(lines) - _EDGE_LINES
        plain = _unnumbered(line)
        if not (edge and line.strip() and (not plain or (hit.document_id, plain) in repeated)):
            kept.append(line)
    return "\n".join(kept).strip()


def _unnumbered(line: str) -> str:
    return re.sub(r"[\W\d]+", " ", joined(line)).strip()
