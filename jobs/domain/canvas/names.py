"""Names of canvases: any text that a file could bear, never a path."""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator

EXTENSION = ".canvas"
MAX_NAME_CHARS = 200
_MAX_GIVEN = 5 * MAX_NAME_CHARS  # before it is composed: what is longer is not worth the work
_LENGTH = f"a canvas's name has 1 to {MAX_NAME_CHARS} characters"
_CONTROL = ("Cc", "Cs", "Zl", "Zp")


def canvas_name(text: str) -> str:
    """Return the name of a canvas in its one form: composed (NFC), without the extension `.canvas`.

    Raises:
        ValueError: it is none, and says why.
    """
    if len(text) > _MAX_GIVEN:
        raise ValueError(_LENGTH)
    name = unicodedata.normalize("NFC", text)
    while name.endswith(EXTENSION):
        name = name.removesuffix(EXTENSION)
    if not 0 < len(name) <= MAX_NAME_CHARS:
        raise ValueError(_LENGTH)
    if name in (".", "..") or set(name) & set("/\\"):
        raise ValueError("a canvas's name is no path: `/`, `\\`, `.` and `..` are not allowed")
    if any(unicodedata.category(char) in _CONTROL for char in name):
        raise ValueError("a canvas's name has no control characters, line ends among them")
    if name != name.strip():
        raise ValueError("a canvas's name does not begin or end with white space")
    return name


CanvasName = Annotated[str, AfterValidator(canvas_name)]
