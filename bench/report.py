"""One form for all figures: a table for people, then one line of JSON for machines."""

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from typing import Any


def print_report(name: str, rows: Sequence[Mapping[str, Any]], **notes: Any) -> None:
    """Print the rows as a Markdown table, then everything as one line of JSON. All rows have the same columns."""
    columns = list(rows[0])
    cells = [columns, *[[str(row[column]) for column in columns] for row in rows]]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    sys.stdout.write("\n".join([lines[0], rule, *lines[1:]]) + "\n")
    machine = {"python": platform.python_version(), "cores": os.cpu_count()}
    sys.stdout.write(json.dumps({"bench": name, "rows": rows, "machine": machine, **notes}, ensure_ascii=False) + "\n")
