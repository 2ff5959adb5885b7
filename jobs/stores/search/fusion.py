"""Reciprocal rank fusion: one order out of several, without comparing their scores."""

from collections.abc import Iterable, Sequence

_FLATTENING = 60  # the constant of Cormack et al. (2009): how little the very first places count above the next


def fuse(rankings: Iterable[Sequence[int]]) -> list[tuple[int, float]]:
    """Return the ids of all rankings with their fused score, best first; ties go to the lower id."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for place, id_ in enumerate(ranking, 1):
            scores[id_] = scores.get(id_, 0.0) + 1 / (_FLATTENING + place)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))
