"""A client's file name is text to show, and nothing else."""

import pytest

from jobs.domain.documents import MAX_FILENAME_CHARS, UNNAMED, display_name


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("report.pdf", "report.pdf"),
        ("第一性原理 手册.pdf", "第一性原理 手册.pdf"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\system.ini", "system.ini"),
        ("/absolute/path.txt", "path.txt"),
        ("nul\0byte.pdf", "nul byte.pdf"),
        ("two\r\nlines\x1b[31m.txt", "two lines [31m.txt"),
        ("gpj.\u202eexe", "gpj.exe"),
        ("lone\ud800surrogate.txt", "lone?surrogate.txt"),
        ("  spaced   out .md ", "spaced out .md"),
        ("", UNNAMED),
        (None, UNNAMED),
        ("..", UNNAMED),
        ("...", UNNAMED),
        ("folder/", UNNAMED),
        ("\0", UNNAMED),
    ],
)
def test_a_name_is_shown_without_folders_and_control_characters(given: str | None, shown: str) -> None:
    assert display_name(given) == shown


def test_a_long_name_is_cut_and_keeps_its_extension() -> None:
    name = display_name("长" * 5000 + ".docx")
    assert len(name) == MAX_FILENAME_CHARS
    assert name.endswith("长.docx")


def test_a_long_name_without_extension_is_cut() -> None:
    assert display_name("x" * 300) == "x" * MAX_FILENAME_CHARS
    assert len(display_name("a." + "x" * 300)) == MAX_FILENAME_CHARS
