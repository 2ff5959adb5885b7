"""A model's answer in a chat, as it is written: its citations are those of the passages that it was shown."""

import re
from collections.abc import Sequence

from jobs.domain.answers import Citation, UsedSources
from jobs.domain.chunks import Hit
from jobs.domain.citations import Groups, NumberedText

_LONE_NUMBER = re.compile(r"[\[【［〔]\s*[1-9]\d?\s*[\]】］〕]")
_PARTS = re.compile(r"`+|\n|[^`\n]+")
_FENCE = 3  # backticks or more around code of several lines


class ReplyText(NumberedText):
    """A text that comes in pieces: `[n]` in it is the n-th of its `citations`, and numbers of nothing are dropped.

    Code is left as it is: `items[0]` cites nothing. So are lists of numbers, where no passages were shown.
    """

    def __init__(self, sources: Sequence[Hit]) -> None:
        self._used = UsedSources(sources)
        super().__init__(self._used.number)
        self._has_sources = bool(sources)
        self._code = _Code()

    @property
    def citations(self) -> tuple[Citation, ...]:
        """What was cited so far."""
        return self._used.citations

    def _citing(self, text: str, groups: Groups) -> Groups:
        found, at = [], 0
        for start, end in groups:
            in_code = self._code.goes_on_after(text[at:start])
            if not in_code and (self._has_sources or _LONE_NUMBER.fullmatch(text, start, end)):
                found.append((start, end))
            at = start
        self._code.read(text[at:])
        return found


class _Code:
    """Markdown's code in a text that comes in pieces: between backticks, on one line or, with three, on several."""

    def __init__(self) -> None:
        self._opened = 0  # backticks before the code; 0 outside of it
        self._ticks = 0  # backticks at the end of what was read

    def goes_on_after(self, text: str) -> bool:
        """Read the next part, after which no backtick comes; say whether code goes on there."""
        self.read(text)
        self._settle()
        return bool(self._opened)

    def read(self, text: str) -> None:
        """Read the next part."""
        for part in _PARTS.findall(text):
            if part[0] == "`":
                self._ticks += len(part)
                continue
            self._settle()
            if part == "\n" and self._opened < _FENCE:
                self._opened = 0

    def _settle(self) -> None:
        if self._ticks and not self._opened:
            self._opened = self._ticks
        elif self._ticks == self._opened or self._ticks > self._opened >= _FENCE:
            self._opened = 0
        self._ticks = 0
