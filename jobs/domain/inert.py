"""A model's text that has no effect: no link, no image, no HTML, and nothing that passes for a report's own structure.

What a model writes may have been put into its mouth by a passage. An image would be fetched from wherever that says as
soon as somebody looks, and a heading with a numbered list would look like our list of sources. So of Markdown only
emphasis, bullets and code within a line are left.
"""

import re

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029]")
_TAG = re.compile(r"<(?![\s\d=])")
_LINKED = re.compile(r"(?<=\])(?=[(:])")  # a link, or a definition of one
_MARKS = re.compile(r"[ \t\-+*#>=`~\d.)]*<?")  # a line of these is not known before it goes on
_UNDERLINE = re.compile(r"^([ \t]*)(?=-+[ \t]*$)", re.MULTILINE)  # makes a heading of the line above
_BLOCK = re.compile(
    r"^(?P<before>[ \t]*(?:[-+*][ \t]+)*+)(?:(?P<sign>[#>=]|-|~~~)|(?P<fence>`{3,})|(?P<item>\d{1,9})(?=[.)](?:\s|$)))",
    re.MULTILINE,
)


class InertText:
    """A text that comes in pieces. What is handed on of them is the same wherever it is cut."""

    def __init__(self) -> None:
        self._held = ""
        self._last = "\n"  # character that was handed on, before it lost its effect

    def feed(self, piece: str) -> str:
        """Take the next piece, and return what can be handed on: what a sign means depends on what follows it."""
        piece = _CONTROL.sub("", piece)
        if self._held not in ("", "<") and _MARKS.fullmatch(piece):
            self._held += piece
            return ""
        text = self._held + piece
        cut = self._decided(text)
        self._held = text[cut:]
        return self._inert(text[:cut])

    def end(self) -> str:
        """Return what was held back, at the end of the text."""
        text, self._held = self._held, ""
        return self._inert(text)

    def _decided(self, text: str) -> int:
        """Return up to where a text can be handed on."""
        line = text.rfind("\n") + 1
        if (line or self._last == "\n") and _MARKS.fullmatch(text, line):
            return line
        return len(text) - text.endswith("<")

    def _inert(self, text: str) -> str:
        if not text:
            return ""
        goes_on = self._last != "\n"
        first, end, rest = text.partition("\n") if goes_on else ("", "", text)
        glued = " " if self._last == "]" and text[0] in "(:" else ""
        self._last = text[-1]
        shown = first + end + _BLOCK.sub(_escaped, _UNDERLINE.sub(r"\1\\", rest))
        return glued + _LINKED.sub(" ", _TAG.sub("&lt;", shown))


def _escaped(match: re.Match[str]) -> str:
    before, sign, fence, item = match.group("before", "sign", "fence", "item")
    if item:
        return f"{before}{item}\\"
    return before + (f"\\{sign}" if sign else "".join(f"\\{tick}" for tick in fence))
