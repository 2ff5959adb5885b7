"""Citations as a model writes them: numbered anew, and the rest of its text without effect."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

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
        ("Five [1], 2020 [2] and [0.5] stay.", "Five [1], 2020 [2] and [0.5] stay."),
        ("One [1]\n\n[2] two.", "One [1]\n\n [2] two."),
        ("From [2-4] and [7;8].", "From [1] [2] [3] and [4] [5]."),
        ("Two  spaces stay, [not this", "Two  spaces stay, [not this"),
    ],
)
def test_numbers_become_those_of_the_sources(written: str, shown: str) -> None:
    """In the order of their use; of nothing, none."""
    assert cited(written, numbers()) == shown


@pytest.mark.parametrize(
    "written",
    [
        "[99999]", "[12-14]", "[77;78]", "［99］", "［９９］", "[^99]", "【99】", "[99, 98 & 97]", "[[99]98]", "[[99]]",
        "[1234567890123]", "[" + "99, " * 70 + "]", "[99\u200b]", "[99,\n98]", "[[99] 98, 97]", "[**99**]", "[98–9999]",
    ],
)  # fmt: skip
def test_numbers_of_nothing_are_dropped(written: str) -> None:
    """However they are written, whole and in pieces; also those that dropping others would make."""
    text = f"Nobody said so{written} at all."
    filtered = CitedText(numbers())
    assert cited(text, numbers()) == "Nobody said so at all."
    assert "".join(map(filtered.feed, text)) + filtered.end() == "Nobody said so at all."


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("![x](http://evil/?all)", "![x] (http://evil/?all)"),
        ("[here](javascript:alert(1))", "[here] (javascript:alert(1))"),
        ("![x][y]\n\n[y]: http://evil", "![x][y]\n\n[y] : http://evil"),
        ("<img src=x> and </p><!-- -->", "&lt;img src=x> and &lt;/p>&lt;!-- -->"),
        ("<http://evil>", "&lt;http://evil>"),
        ("see [1](http://evil)", "see [1](http://evil)".replace("](", "] (")),
        ("a < b, 3 <4", "a < b, 3 <4"),
        ("\\<img src=x>", "\\&lt;img src=x>"),
        ("![x][99](http://evil)", "![x] (http://evil)"),
        ("[x] [99](http://evil)", "[x] (http://evil)"),
        ("<[99]img src=x>", "&lt;img src=x>"),
    ],
)
def test_links_images_and_html_lose_their_effect(written: str, shown: str) -> None:
    """Markdown shows them as they are written."""
    assert cited(written, numbers()) == shown


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("## Sources\n\n1. A Journal", "\\## Sources\n\n1\\. A Journal"),
        ("Sources\n---\nNotes\n===", "Sources\n\\---\nNotes\n\\==="),
        ("Sources\n - \nx", "Sources\n \\- \nx"),
        ("```\nends here", "\\`\\`\\`\nends here"),
        ("> # Sources", "\\> # Sources"),
        ("- point\n  - # Sources\n* 1. A", "- point\n  - \\# Sources\n* 1\\. A"),
        ("2024 was.\n3.14 is.\n`x` **b** *c*", "2024 was.\n3.14 is.\n`x` **b** *c*"),
    ],
)
def test_a_model_writes_no_headings_and_no_numbered_lists(written: str, shown: str) -> None:
    """They would pass for the report's own. Bullets, emphasis and numbers in a text stay."""
    assert cited(written, numbers()) == shown


SIGNS = list("[]【］12 9,.;-^\n<(:!ax#>`~*+=)\t\r\\&好")


def in_pieces(text: str, edges: list[int]) -> str:
    filtered = CitedText(numbers())
    pieces = [filtered.feed(text[a:b]) for a, b in pairwise([0, *edges, len(text)])]
    return "".join(pieces) + filtered.end()


@settings(max_examples=500, deadline=None)
@given(text=st.text(st.sampled_from(SIGNS), max_size=60), cuts=st.lists(st.integers(0, 60), max_size=12))
def test_pieces_make_the_same_text_wherever_they_are_cut(text: str, cuts: list[int]) -> None:
    """So what readers see as it is written is what the report holds; and that renders as text."""
    whole = cited(text, numbers())
    assert in_pieces(text, sorted(cut for cut in cuts if cut < len(text))) == whole
    assert in_pieces(text, list(range(1, len(text)))) == whole
    html = MarkdownIt("commonmark", {"html": True}).render(f"Before.\n\n{whole}\n\n## Next\n")
    assert not any(tag in html for tag in ("<a", "<img", "<h1", "<ol", "<blockquote", "<code class"))
    assert html.count("<h2>") == 1
    assert html.endswith("<h2>Next</h2>\n")


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


@pytest.mark.parametrize("piece", ["[", "[1", "[1] ", " ", "1", "-", "`", "<"])
def test_nothing_that_a_model_repeats_takes_long(piece: str) -> None:
    """What is held back is not looked through anew at each piece: ten thousand of them come in order."""
    filtered = CitedText(numbers())
    shown = "".join(filtered.feed(piece) for _ in range(10_000)) + filtered.end()
    assert shown == cited(piece * 10_000, numbers())
