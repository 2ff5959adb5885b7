"""One of many that fails holds up no other."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from rq.timeouts import JobTimeoutException

from jobs.core.worker_parts.outage import AWAY
from jobs.stores.database import is_away

log = logging.getLogger(__name__)
_OF_ALL = (*AWAY, JobTimeoutException, MemoryError)  # strike whatever is being done


@contextmanager
def apart(what: str) -> Iterator[None]:
    """Log what the block raises and go on, unless it is no fault of this one: Redis or the database is away."""
    try:
        yield
    except _OF_ALL:
        raise
    except Exception as error:
        if is_away(error):
            raise
        log.exception("%s is left as it is", what)
