"""Child processes that never outlive their parent."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def die_with_parent(signum: int = signal.SIGTERM) -> Callable[[], None]:
    """Return a `preexec_fn` that has the kernel signal the child when its parent ends, also by SIGKILL.

    Only Linux can do this; elsewhere the child is stopped by its parent's own clean-up alone. Start the child from the
    main thread: the kernel watches the thread, not the process.
    """
    parent = os.getpid()
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None  # loaded here: not safe after a fork

    def in_child() -> None:
        if prctl is None:
            return
        prctl(_PR_SET_PDEATHSIG, signum)
        if os.getppid() != parent:  # it ended before the kernel was told
            os._exit(1)

    return in_child
