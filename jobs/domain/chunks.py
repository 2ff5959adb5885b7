"""Passages: the pieces of a document that are found and cited."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from jobs.domain.tokens import count_han, is_han

# A Chinese character says about as much as three Latin ones.
HAN_PASSAGE_CHARS = (150, 300)
LATIN_PASSAGE_CHARS = (400, 800)
_HAN_SHARE = 0.2
_LEAST_LETTERS = 3  # less is a page's number


@dataclass(frozen=True)
class Passage:
    """A piece of one page. `start` is its offset in the page's text, in characters."""

    page: int
    start: int
    text: str


@dataclass(frozen=True)
class Hit:
    """A passage that was found. `similarity` is the cosine to the question; None while its vector is pending."""

    passage_id: int
    document_id: int
    document_name: str
    page: int
    start: int
    text: str
    score: float
    similarity: float | None


def split_pages(pages: Iterable[tuple[int, str]]) -> Iterator[Passage]:
    """Yield the passages of numbered pages, in order. `pages[n].text[p.start:p.start + len(p.text)] == p.text`."""
    for number, text in pages:
        yield from split_page(number, text)


def split_page(number: int, text: str) -> list[Passage]:
    """Cut one page into passages, at sentence ends where it can."""
    from semantic_text_splitter import TextSplitter  # a native library: only where documents are processed

    splitter = TextSplitter(_size(text))
    return [Passage(number, start, piece) for start, piece in splitter.chunk_indices(text) if _says_something(piece)]


def _says_something(piece: str) -> bool:
    weight = 0
    for character in piece:  # nearly always ended by its first three
        weight += 3 if is_han(character) else character.isalpha()
        if weight >= _LEAST_LETTERS:
            return True
    return False


def _size(text: str) -> tuple[int, int]:
    sample = text[:4000]
    letters, han = sum(map(str.isalpha, sample)), count_han(sample)
    return HAN_PASSAGE_CHARS if letters and han >= _HAN_SHARE * letters else LATIN_PASSAGE_CHARS
