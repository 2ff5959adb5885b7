"""Why a canvas, or a change of one, is refused.

An error's docstring is its public text. Its `code` is stable: clients may rely on it.
"""

from collections.abc import Sequence
from typing import ClassVar

from jobs.domain.faults import MAX_FAULTS, Fault


class CanvasError(Exception):
    """The canvas cannot be used."""

    code: ClassVar[str] = "canvas_error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").splitlines()[0])


class InvalidCanvas(CanvasError):
    """This is no JSON Canvas 1.0; `faults` names what is wrong, as `nodes[3].width`; `body` is the file as a whole."""

    code = "invalid_canvas"

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults[:MAX_FAULTS])
        super().__init__("; ".join(f"{fault.field}: {fault.message}" for fault in self.faults))


class CanvasNotFound(CanvasError):
    """There is no such canvas."""

    code = "canvas_not_found"


class NodeNotFound(CanvasError):
    """The canvas has no such node."""

    code = "node_not_found"


class EdgeNotFound(CanvasError):
    """The canvas has no such edge."""

    code = "edge_not_found"


class VersionNotFound(CanvasError):
    """The canvas has no such version, or no longer: the last ones are kept."""

    code = "version_not_found"


class NodeExists(CanvasError):
    """The canvas has another node of this id."""

    code = "node_exists"


class EdgeExists(CanvasError):
    """The canvas has another edge of this id."""

    code = "edge_exists"


class PreconditionFailed(CanvasError):
    """The canvas is not as the request's `If-Match` or `If-None-Match` wants it: read it again."""

    code = "precondition_failed"


class TooManyCanvases(CanvasError):
    """There are as many canvases as one tenant may have."""

    code = "too_many_canvases"


class CanvasTooLarge(CanvasError):
    """The canvas would be larger than this service takes."""

    code = "canvas_too_large"


class NothingToReview(CanvasError):
    """No node of this canvas is to be reviewed."""

    code = "nothing_to_review"


class UnknownNode(CanvasError):
    """The canvas has no node of this id."""

    code = "unknown_node"
    field = "node_ids"


class ReviewTooLarge(CanvasError):
    """More nodes are to be reviewed than one review may have."""

    code = "review_too_large"
