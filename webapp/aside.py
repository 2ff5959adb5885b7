"""Long computations in a web process."""

from collections.abc import Callable
from typing import Any, TypeVar

from gevent import get_hub, monkey

T = TypeVar("T")


def aside(function: Callable[..., T], *args: Any) -> T:
    """Run what computes for long in a thread of the system's, so that the process's other requests go on meanwhile."""
    if not monkey.is_module_patched("threading"):  # the server has such threads for its requests anyway
        return function(*args)
    result: T = get_hub().threadpool.apply(function, args)
    return result
