"""Citations as a model writes them: numbered anew, and the rest of its text without effect."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.domain.citations import CitedText, cited


def numbers(known: int = 9) -> Callable[[int], int | None]:
    """Number the first `known` sources in the order of their use."""
    used: list[int] = []

    def number(label: int) -> int | None:
        if not 1 <= label <= known:
            return None
        if label not in used:
            used.append(label)
        return used.index(label) + 1

    return number


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Sleep helps [3]. It rests [1][3].", "Sleep helps [1]. It rests [2] [1]."),
        ("睡眠有益【2】，梦也是[ 2，5 ]。", "睡眠有益 [1]，梦也是 [1] [2]。"),
        ("Nobody said so [12].", "Nobody said so."),
        ("Half of it [2, 40, 2].", "Half of it [1]."),
        ("A list[0] and a [note] stay.", "A list and a [note] stay."),
        ("Two  spaces stay, [not this", "Two  spaces stay, [not this"),
    ],
)
def test_numbers_become_those_of_the_sources(written: str, shown: str) -> None:
    """In the order of their use; of nothing, none."""
    assert cited(written, numbers()) == shown


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("![x](http://evil/?all)", "![x] (http://evil/?all)"),
        ("[here](javascript:alert(1))", "[here] (javascript:alert(1))"),
        ("![x][y]\n\n[y]: http://evil", "![x][y]\n\n[y] : http://evil"),
        ("<img src=x> and </p><!-- -->", "\\<img src=x> and \\</p>\\<!-- -->"),
        ("<http://evil>", "\\<http://evil>"),
        ("see [1](http://evil)", "see [1](http://evil)".replace("](", "] (")),
        ("a < b, 3 <4", "a < b, 3 <4"),
    ],
)
def test_links_images_and_html_lose_their_effect(written: str, shown: str) -> None:
    """Markdown shows them as they are written."""
    assert cited(written, numbers()) == shown


@settings(max_examples=300, deadline=None)
@given(
    text=st.text(st.sampled_from(list("[]【】12 9,，、 \n<(:!ax好。")), max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=12),
)
def test_pieces_make_the_same_text_wherever_they_are_cut(text: str, cuts: list[int]) -> None:
    """So what readers see as it is written is what the report holds."""
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    filtered = CitedText(numbers())
    pieces = [filtered.feed(text[a:b]) for a, b in pairwise(edges)]
    assert "".join(pieces) + filtered.end() == cited(text, numbers()).rstrip()


def test_a_citation_is_not_shown_by_halves() -> None:
    """It waits for its end, and for what follows; everything else goes on at once."""
    filtered = CitedText(numbers())
    assert [filtered.feed(piece) for piece in ("Sleep ", "helps", " [", "1", "0", "] ", "so", "[2", "] well")] == [
        "Sleep",
        " helps",
        "",
        "",
        "",
        "",
        " so",
        "",
        " [1] well",
    ]


def test_a_bracket_that_never_ends_holds_nothing_up() -> None:
    """After some sixty characters that could be numbers it is let go."""
    filtered = CitedText(numbers())
    assert len(filtered.feed("[" + "1, " * 500)) > 1000
