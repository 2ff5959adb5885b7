"""How much JSON holds, told before it is read: what reads it needs memory and time for each value."""

import re

MAX_VALUES = 250_000
# Possessive, and without its last quote if there is none: what is torn is passed once, too.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)


def is_crowded(data: bytes, most: int = MAX_VALUES) -> bool:
    """Say whether a JSON text has more than so many values: members and elements, arrays and objects."""
    return _marks(data) > most and _marks(_STRING.sub(b"", data)) > most


def _marks(data: bytes) -> int:
    return sum(map(data.count, (b",", b"[", b"{")))
