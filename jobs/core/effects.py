"""Do something outside once: under a key that is the same at every attempt, written down before and after."""

import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from pydantic import TypeAdapter
from rq.timeouts import JobTimeoutException
from sqlalchemy.exc import DBAPIError

from jobs.core.errors import EffectUnknown
from jobs.core.worker_parts.outage import waits
from jobs.stores.database import is_away
from jobs.stores.effects import DONE, FAILED, UNKNOWN, CutOff

if TYPE_CHECKING:
    from jobs.core.context import JobContext

T = TypeVar("T")
# They strike anywhere, also after the message has left: no word of the other side, so the effect stays `started`.
_OUT_OF_THE_BLUE = (JobTimeoutException, MemoryError)
_TRIES = 60  # for about a minute
MAX_KEY_CHARS = 200


def take_effect(ctx: "JobContext", key: str, function: Callable[[], T], channel: str, cut_off: CutOff) -> T:
    """Run `function` unless the ledger says that it was done; see `JobContext.effect`."""
    if not 0 < len(key) <= MAX_KEY_CHARS:
        raise ValueError(f"a key has 1 to {MAX_KEY_CHARS} characters")
    store, returns = ctx.services.effects, result_type(function)
    effect = store.begin(ctx.tenant, key, channel=channel, job_id=ctx.job_id, cut_off=cut_off)
    if effect.state == DONE:
        return returns.validate_json(effect.result or "null")
    if effect.token is None:
        raise EffectUnknown
    finish = partial(store.finish, ctx.tenant, key, effect.token)
    try:
        result = function()
    except _OUT_OF_THE_BLUE:
        raise
    except Exception as error:
        state = UNKNOWN if getattr(error, "uncertain", False) else FAILED
        code = str(getattr(error, "code", type(error).__name__))[:64]
        _write_down(partial(finish, state, error_code=code))
        raise
    _write_down(partial(finish, DONE, result=returns.dump_json(result).decode()))
    return result


def result_type(function: Callable[..., T]) -> "TypeAdapter[T]":
    """Return what reads and writes a function's results as JSON: by its return annotation, plain JSON without one."""
    while isinstance(function, partial):
        function = function.func
    returns: Any = get_type_hints(function).get("return", Any)
    return TypeAdapter(returns)


def _write_down(finish: Callable[[], None]) -> None:
    """Keep trying while the database is away: how it came out is known to this process only."""
    for wait in islice(waits(), _TRIES):
        try:
            return finish()
        except DBAPIError as error:
            if not is_away(error):
                raise
            time.sleep(wait)
    return finish()
