"""Sign codes: the coarse look keeps what is truly near."""

from types import SimpleNamespace

import numpy as np
import pytest

from jobs.stores.search.codes import CANDIDATES, Codes, code_of, no_codes
from jobs.stores.search.fusion import fuse


def filled(matrix: "np.ndarray[tuple[int, int], np.dtype[np.float32]]", document_id: int = 1) -> Codes:
    rows = [
        SimpleNamespace(id=n, passage_id=n + 100, document_id=document_id, code=code_of(row).tobytes())
        for n, row in enumerate(matrix, 1)
    ]
    return no_codes(matrix.shape[1]).extended(rows)


@pytest.mark.parametrize("dimension", [100, 384, 512])
def test_the_true_nearest_are_among_the_candidates(dimension: int) -> None:
    """Of the ten nearest of 5,000 clustered vectors, at least 95 in 100; always the very nearest."""
    random = np.random.default_rng(7)
    centres = random.normal(size=(100, dimension))
    matrix = centres[random.integers(0, 100, 5000)] + random.normal(scale=0.7, size=(5000, dimension))
    matrix = (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)
    codes, kept = filled(matrix), 0
    for query in matrix[::250]:
        candidates = set(codes.nearest(query, None))
        nearest = [int(n) + 101 for n in np.argsort(-(matrix @ query))[:10]]
        assert len(candidates) == CANDIDATES
        assert nearest[0] in candidates
        kept += len(candidates & set(nearest))
    assert kept >= 0.95 * 200


def test_codes_grow_and_shrink_without_changing_what_others_read() -> None:
    """Each step is a new object."""
    matrix = np.eye(70, dtype=np.float32)
    before = filled(matrix)
    after = before.without([101, 102])
    assert (len(before.passages), len(after.passages)) == (70, 68)
    assert before.last == after.last == 70
    assert after.passages_of([1]) == list(range(103, 171))
    assert after.documents_of([103]) == [1]


def test_fusion_prefers_what_both_rankings_hold() -> None:
    """Third in both comes before first in one; equal scores are in a stable order."""
    assert fuse([[1, 2, 3], [4, 5, 3]])[0][0] == 3
    assert [id_ for id_, _ in fuse([[2], [1]])] == [1, 2]
    assert fuse([[], []]) == []
