"""Files that people open: JSON lines, and CSV that no spreadsheet runs."""

import csv
import io
import json
from datetime import UTC, datetime

import pytest

from jobs.domain.exports import COLUMNS, cell, lines


@pytest.mark.parametrize(
    "sign", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", " =", "\u3000+", "\u00a0@"]
)
def test_a_text_that_would_be_a_formula_is_none(sign: str) -> None:
    assert cell(f'{sign}HYPERLINK("http://evil")') == f'\'{sign}HYPERLINK("http://evil")'


@pytest.mark.parametrize("text", ["a;=1", "a\t=1", "a; \t@1", "a;＝1"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_no_cell_is_a_formula_whatever_a_spreadsheet_parts_a_line_at(text: str, delimiter: str) -> None:
    """Excel takes the separator of its region, whatever the file's name says; some read no quotes in mid-line."""
    content = b"".join(lines("csv", [{"kind": "memory", "topic": "x", "text": text}])).decode("utf-8")
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE):
        rows = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, quoting=quoting)
        cells = [cell.strip() for row in rows for cell in row]
        assert not [cell for cell in cells if cell.startswith(tuple("=+-@＝＋－＠"))]


@pytest.mark.parametrize("value", ["a=b", "a;b", "你好", "", "'quoted", 0, -1, 1.5, True, None])
def test_other_values_stay_as_they_are(value: object) -> None:
    """A number with a sign is a number."""
    assert cell(value) == value


def test_csv_comes_back_as_it_was() -> None:
    """Commas, quotes, line ends, Chinese; with names, and a mark by which Excel knows UTF-8."""
    text = 'a,"b"\r\nc; 你好'
    content = b"".join(lines("csv", [{"kind": "conversation", "message": text, "topics": ["x", "=y"]}])).decode("utf-8")
    assert content.startswith('\ufeff"kind",')
    [row] = csv.DictReader(io.StringIO(content.removeprefix("\ufeff"), newline=""))
    assert (row["message"], row["topics"], set(row)) == (text, "x; '=y", set(COLUMNS))


def test_json_lines_hold_times_and_lists() -> None:
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    [line] = b"".join(lines("jsonl", [{"kind": "session", "topics": ["年假"], "analyzed_at": now}])).splitlines()
    assert json.loads(line) == {"kind": "session", "topics": ["年假"], "analyzed_at": "2026-01-31T12:00:00+00:00"}
    assert "年假".encode() in line
