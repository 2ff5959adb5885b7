"""Exports: all that is kept of a user as lines of a file, as JSON or for a spreadsheet."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any, Literal

Format = Literal["jsonl", "csv"]
Record = dict[str, Any]  # with its `kind`; times and days among its values

MEDIA_TYPES: dict[Format, str] = {"jsonl": "application/x-ndjson", "csv": "text/csv"}
_COLUMNS = """
kind id user_id created_at session_id topic message response response_time cut_off model prompt_tokens completion_tokens
estimated text confirmed_at exchanges topics sentiment open_questions analyzed_at total_conversations total_tokens
last_conversation_at day source calls cost currency email phone name language channel recipient subject event_type state
"""
COLUMNS = _COLUMNS.split()
_SIGNS = "=+-@＝＋－＠"  # what makes a cell a formula in one spreadsheet or another
_FORMULA = tuple(_SIGNS)
# Some take a file's semicolons or tabs for what parts its cells: then a cell begins after one, too.
_LATER = re.compile(rf"([;\t]\s*)(?=[{re.escape(_SIGNS)}])")
_BOM = "\ufeff"  # without it Excel takes the file for one of its own old encodings


def lines(form: Format, records: Iterable[Record]) -> Iterator[bytes]:
    """Yield the file of some records, a line for each; in CSV after a line of names, with cells that nothing runs."""
    return _json_lines(records) if form == "jsonl" else _csv_lines(records)


def cell(value: Any) -> Any:
    """Return a value as a spreadsheet may open it: a text that would be a formula gets an apostrophe before it, also
    where the text would be parted into cells."""
    if isinstance(value, list):
        value = "; ".join(map(str, value))
    if isinstance(value, date):
        return value.isoformat()
    if not isinstance(value, str):
        return value
    value = _LATER.sub(r"\1'", value)
    return f"'{value}" if value.lstrip().startswith(_FORMULA) or value[:1] in ("\t", "\r", "\n") else value


def _json_lines(records: Iterable[Record]) -> Iterator[bytes]:
    for record in records:
        yield json.dumps(record, ensure_ascii=False, default=_plain).encode() + b"\n"


def _plain(value: Any) -> str | int:
    """Return a value that JSON does not have: a time, a day, or the whole number of a database's sum."""
    return value.isoformat() if isinstance(value, date) else int(value)


def _csv_lines(records: Iterable[Record]) -> Iterator[bytes]:
    text = io.StringIO()
    # All texts in quotes: what parts cells at semicolons or tabs keeps them whole then.
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n", quoting=csv.QUOTE_NONNUMERIC)
    text.write(_BOM)
    writer.writeheader()
    yield _taken(text)
    for record in records:
        writer.writerow({name: cell(value) for name, value in record.items()})
        yield _taken(text)


def _taken(text: io.StringIO) -> bytes:
    taken = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return taken
