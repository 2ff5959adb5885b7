"""Sentences of Chinese and English text, also of text that was cut into lines for a page."""

import re
from itertools import pairwise

from jobs.domain.tokens import is_han

_ABBREVIATIONS = ("e.g", "i.e", "etc", "vs", "cf", "mr", "mrs", "ms", "dr", "prof", "fig", "sec", "st", "approx")
_CLOSING = r"\"'”’」』）)】\]"
# A sentence ends at Chinese marks, or at Latin ones after a word and before white space.
_END = re.compile(rf"[。！？；…]+[{_CLOSING}]*|(?<![.!?\s])[.!?]++[{_CLOSING}]*+(?=\s|$)")
# A line that begins something new: a list item, a numbered heading, or one after an empty line.
_ITEM = r"[•●▪–—*-]\s|\d+[.)、]\s|\d+(?:\.\d+)+\.?\s|[（(]?[一二三四五六七八九十]+[)）、]"
_BREAK = re.compile(rf"\n\s*\n|\n(?=\s*(?:{_ITEM}))")
# The first line of a block is a heading if it is numbered, or too short to have been cut to a page's width.
_HEADING = re.compile(r"\s*(?:\d+(?:\.\d+)+\.?\s[^\n.。]{1,70}|[^\n。！？；，.!?;,：:]{1,24}(?<!-))\n")
_LEAST_WIDTH = 50  # of a page's lines, a Chinese character counting as two: under it, short lines tell nothing
_SHORT = 0.7  # of the width: a line that ends before it was not cut by the page
_UNFINISHED = (",", ";", ":", "-", "，", "；", "：", "、")
_HYPHENATED = re.compile(r"[^\W\d_]{2,}-$")
_KEEPS_HYPHEN = ("non-", "self-", "well-", "cross-", "high-", "low-", "long-", "short-", "pre-", "real-", "third-")
_LONGEST = 400
_LONGEST_WORD = 20  # longer than any abbreviation with a bracket and quotes before it


def sentences(text: str) -> list[tuple[int, str]]:
    """Return (offset, sentence) for each sentence of a text, in order, with line breaks joined.

    The offset is that of the sentence's first character in `text`.
    """
    found = []
    for start, block in _blocks(text):
        for offset, piece in _split(block):
            lead = len(piece) - len(piece.lstrip())
            if piece.strip():
                found.append((start + offset + lead, joined(piece)))
    return found


def joined(text: str) -> str:
    """Return a text on one line: a line break inside Chinese goes, and a hyphen at one; others become spaces."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    whole = lines[0] if lines else ""
    for line in lines[1:]:
        if _is_hyphenated(whole, line):
            whole = (whole if whole.casefold().endswith(_KEEPS_HYPHEN) else whole.removesuffix("-")) + line
        else:
            whole += line if _is_wide(whole[-1]) and _is_wide(line[0]) else f" {line}"
    return re.sub(r"[ \t\u00a0\u3000]+", " ", whole)


def _blocks(text: str) -> list[tuple[int, str]]:
    cuts = {0, len(text)} | {match.end() for match in _BREAK.finditer(text)}
    cuts |= {match.end() for cut in tuple(cuts) if (match := _HEADING.match(text, cut))}
    edges = sorted(cuts | set(_heading_ends(text)))
    return [(a, text[a:b]) for a, b in pairwise(edges)]


def _heading_ends(text: str) -> list[int]:
    """Return where the lines after headings begin: lines between sentences that end long before the page's width."""
    lines = text.splitlines(keepends=True)
    width = max(map(_width, lines), default=0)
    found: list[int] = []
    offset, ended = 0, True  # whether the line before ended a sentence, or was a heading
    for line, following in pairwise(lines):
        offset += len(line)
        bare, after = line.strip(), following.lstrip()
        short = width >= _LEAST_WIDTH and 0 < _width(line) < _SHORT * width
        begins = bool(after) and (after[0].isupper() or is_han(after[0]))
        heading = ended and short and begins and not ends_sentence(bare) and not bare.endswith(_UNFINISHED)
        if heading:
            found.append(offset)
        ended = heading or not bare or ends_sentence(bare)
    return found


def ends_sentence(line: str) -> bool:
    """Say whether a line ends with the mark of a sentence's end, quotes and brackets apart."""
    return line.rstrip("\"'”’」』）)】]")[-1:] in tuple("。！？；….!?")


def _width(line: str) -> int:
    return sum(2 if _is_wide(character) else 1 for character in line.strip())


def _split(block: str) -> list[tuple[int, str]]:
    pieces: list[tuple[int, str]] = []
    start = 0
    for match in _END.finditer(block):
        before = block[max(start, match.start() - _LONGEST_WORD) : match.start()]
        if not _is_abbreviation(before, match.group()):
            pieces.append((start, block[start : match.end()]))
            start = match.end()
    pieces.append((start, block[start:]))
    return [part for offset, piece in pieces for part in _bounded(offset, piece)]


def _bounded(offset: int, piece: str) -> list[tuple[int, str]]:
    """Cut what has no sentence ends, such as tables and listings, at lines."""
    if len(piece) <= _LONGEST:
        return [(offset, piece)]
    parts: list[tuple[int, str]] = []
    for line in piece.splitlines(keepends=True):
        parts += [(offset + at, line[at : at + _LONGEST]) for at in range(0, len(line), _LONGEST)]
        offset += len(line)
    return parts


def _is_abbreviation(before: str, end: str) -> bool:
    word = before.split()[-1].lstrip("(（\"'").casefold() if before.split() else ""
    single_letter = len(word) == 1 and word.isalpha() and word.isascii()
    return end == "." and (word in _ABBREVIATIONS or single_letter)


def _is_hyphenated(line: str, following: str) -> bool:
    """Say whether a word was cut at the end of a line, as far as that can be told without a dictionary."""
    cut = _HYPHENATED.search(line)
    return bool(cut) and following[0].islower()


def _is_wide(character: str) -> bool:
    return is_han(character) or character in "，。！？；：、（）《》“”「」…"
