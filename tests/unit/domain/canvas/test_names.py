"""Names of canvases: any language, no paths, one form."""

import unicodedata

import pytest

from jobs.domain.canvas.names import canvas_name


@pytest.mark.parametrize(
    "name", ["离散数学", "notes 1.2", "...", "a\u200db", "x" * 200, "数" * 200, "C# & C++ (100 %)?"]
)
def test_names_of_any_language_are_taken(name: str) -> None:
    assert canvas_name(name) == name
    assert canvas_name(f"{name}.canvas") == name


def test_a_name_has_one_form() -> None:
    """Composed, and without the extension, however often it is there."""
    assert canvas_name(unicodedata.normalize("NFD", "Übung é")) == unicodedata.normalize("NFC", "Übung é")
    assert canvas_name("a.canvas.canvas") == "a"


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".canvas",
        ".",
        "..",
        "..canvas",
        "../x",
        "a/b",
        "a\\b",
        "a\0",
        "a\nb",
        "a\u2028b",
        "\ud800",
        " a",
        "a ",
        "x" * 201,
    ],
)
def test_what_is_a_path_or_cannot_be_shown_is_no_name(name: str) -> None:
    with pytest.raises(ValueError, match="a canvas's name"):
        canvas_name(name)


def test_what_is_far_too_long_is_refused_before_any_work_is_done_on_it() -> None:
    """Also if nothing but extensions makes it long: to take each off would copy it each time."""
    with pytest.raises(ValueError, match="1 to 200 characters"):
        canvas_name("a" + ".canvas" * 500_000)
    assert canvas_name("a" + ".canvas" * 100) == "a"
