"""A model's answer in a chat: its citations are those of the passages that it was shown, and no others."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.domain.chunks import Hit
from jobs.domain.reply_text import ReplyText

PASSAGES = [Hit(number, number, f"{number}.txt", 1, 0, f"passage {number}", 1.0, None) for number in (1, 2, 3)]
SIGNS = list("[]【］12 9,.-\n`a好")


def read(text: str, shown: int = 3, edges: list[int] | None = None) -> tuple[str, list[int]]:
    """Return a text as it is handed on, cut at some edges, and which passages it cites."""
    reply = ReplyText(PASSAGES[:shown])
    pieces = [text[a:b] for a, b in pairwise([0, *(edges or []), len(text)])]
    return "".join(reply.through(pieces)), [each.document_id for each in reply.citations]


@pytest.mark.parametrize(
    ("written", "shown", "cited"),
    [
        ("From two [2]. From one [1]. Made up [9].", "From two [1]. From one [2]. Made up.", [2, 1]),
        ("睡眠有益【3】，梦也是[1，3]。", "睡眠有益 [1]，梦也是 [2] [1]。", [3, 1]),
        ("# Kept\n\n<b>as</b> ![x](y) [2]", "# Kept\n\n<b>as</b> ![x](y) [1]", [2]),
        ("Take `items[0]` or ``a[`1]`` [3].", "Take `items[0]` or ``a[`1]`` [1].", [3]),
        ("```python\nx = [1, 2]\ny[3]\n```\nSo [3].", "```python\nx = [1, 2]\ny[3]\n```\nSo [1].", [3]),
        ("A lone ` here\nand [3].", "A lone ` here\nand [1].", [3]),
    ],
)
def test_numbers_are_those_of_the_citations(written: str, shown: str, cited: list[int]) -> None:
    """In the order of their use; of nothing, none. Code and all else stay as they are."""
    assert read(written) == (shown, cited)
    assert read(written, edges=list(range(1, len(written)))) == (shown, cited)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Made up [1]. 编造【2】。", "Made up. 编造。"),
        ("Sorted: [1, 2, 3], from [0, 1].", "Sorted: [1, 2, 3], from [0, 1]."),
        ("`items[1]` is the second, items[0] the first, in [2024].",) * 2,
    ],
)
def test_without_passages_nothing_is_cited(written: str, shown: str) -> None:
    """Lists of numbers are not citations there: they may be the answer."""
    assert read(written, shown=0) == (shown, [])


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.sampled_from(SIGNS), max_size=50), cuts=st.lists(st.integers(1, 50), max_size=9))
def test_pieces_make_the_same_text_wherever_they_are_cut(text: str, cuts: list[int]) -> None:
    """So what is read as it is written is what the whole answer holds."""
    for shown in (0, 3):
        whole = read(text, shown)
        assert read(text, shown, sorted(cut for cut in cuts if cut < len(text))) == whole
        assert read(text, shown, list(range(1, len(text)))) == whole


@pytest.mark.parametrize("piece", ["[", "[1", "[1] ", " ", "`", "`[1]"])
def test_nothing_that_a_model_repeats_takes_long(piece: str) -> None:
    """What is held back is not looked through anew at each piece: ten thousand of them come in order."""
    assert "".join(ReplyText(PASSAGES).through([piece] * 10_000)) == read(piece * 10_000)[0]
