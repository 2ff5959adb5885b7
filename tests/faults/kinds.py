"""Job types of the harness: one with effects, and some that do harm. `MODULE` runs the service's programs with them."""

import ctypes
import sys
import time
from functools import partial
from importlib import import_module
from urllib.request import Request, urlopen

from pydantic import BaseModel
from sqlalchemy import text

from jobs.core.context import JobContext
from jobs.core.spec import Backoff, job

COUNTER = "fault_counter"
_SOON = Backoff(base=1, cap=2)


class CountArgs(BaseModel):
    """Which request this is, and the address that is told of it."""

    serial: int
    url: str


class Nothing(BaseModel):
    """No arguments."""


@job("fault.count", timeout=30, retries=30, backoff=_SOON, public=True)
def count(ctx: JobContext, args: CountArgs) -> int:
    """Count up by one in the database, and post once to an address that knows no keys."""
    with ctx.services.database.write() as connection:
        if ctx.services.effects.once(connection, ctx.tenant, f"count/{args.serial}", "count"):
            connection.execute(text(f"UPDATE {COUNTER} SET n = n + 1"))
    ctx.effect(f"post/{args.serial}", partial(_post, f"{args.url}/{args.serial}"), channel="outside")
    return args.serial


def _post(url: str) -> int:
    with urlopen(Request(url, data=b"{}", method="POST"), timeout=10) as answer:
        return int(answer.status)


@job("fault.segfault", timeout=30, retries=1, backoff=_SOON, public=True)
def segfault(ctx: JobContext, args: Nothing) -> None:
    """Read where nothing is."""
    ctypes.string_at(0)


@job("fault.memory", timeout=30, retries=0, isolated=True, public=True)
def memory(ctx: JobContext, args: Nothing) -> int:
    """Take more memory than an isolated job may."""
    return len(bytearray(4 * 2**30))


@job("fault.stubborn", timeout=2, retries=0, isolated=True, public=True)
def stubborn(ctx: JobContext, args: Nothing) -> None:
    """Swallow its timeout."""
    while True:
        try:
            time.sleep(0.2)
        except Exception:
            continue


if __name__ == "__main__":
    import_module("tests.faults.kinds")  # under its own name, and not as `__main__`: a type is declared once
    sys.exit(import_module("worker").main())
