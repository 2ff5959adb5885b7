"""Effects over attempts of a job: once, with the result kept; a cut in the middle is handled by the rule."""

import sqlite3
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel
from redis import Redis
from rq.timeouts import JobTimeoutException
from sqlalchemy.exc import OperationalError

from config import load_config
from jobs.core import spec
from jobs.core.context import JobContext
from jobs.core.errors import EffectUnknown, RetryableError
from jobs.services import Services
from jobs.stores.database import Database
from jobs.stores.effects import EffectStore
from tests.fakes import engine_services, job_client, make_due, run_jobs
from tests.unit.core.conftest import TENANT, WordArgs


class Receipt(BaseModel):
    number: int


class Uncertain(RetryableError):
    """The connection was lost after the message."""

    code = "dropped_after_data"
    uncertain = True


@pytest.fixture
def services(fake_redis: Redis, sqlite_database: Database) -> Services:
    return engine_services(fake_redis, load_config(), sqlite_database)


@pytest.fixture
def ctx(services: Services) -> JobContext:
    return JobContext(job_id="j1", tenant=TENANT, attempt=1, services=services, client=job_client(services))


class Outside:
    """Counts what reaches it; raises `errors` first, one at a call."""

    def __init__(self, *errors: BaseException) -> None:
        self.calls = 0
        self.errors = list(errors)

    def send(self) -> Receipt:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return Receipt(number=self.calls)


def send(ctx: JobContext, outside: Outside, **options: Any) -> Receipt:
    return ctx.effect("mail/1", outside.send, channel="email", **options)


def state(ctx: JobContext) -> str:
    effect = ctx.services.effects.get(TENANT, "mail/1")
    assert effect
    return effect.state


def test_a_result_is_kept_in_its_own_type(ctx: JobContext) -> None:
    """Of a method, or of a function that is bound to its arguments."""
    outside = Outside()
    assert send(ctx, outside) == send(ctx, outside) == Receipt(number=1)
    assert ctx.effect("mail/1", partial(outside.send), channel="email") == Receipt(number=1)
    assert outside.calls == 1


def test_an_exception_means_that_it_did_not_happen(ctx: JobContext) -> None:
    """It is passed on, and the next attempt sends."""
    outside = Outside(RetryableError())
    with pytest.raises(RetryableError):
        send(ctx, outside)
    assert state(ctx) == "failed"
    assert send(ctx, outside).number == 2


def test_an_exception_that_does_not_know_makes_it_unknown(ctx: JobContext) -> None:
    """As of a mail server that hangs up after the message: it is not sent again, and that attempt says so."""
    outside = Outside(Uncertain())
    with pytest.raises(Uncertain):
        send(ctx, outside)
    with pytest.raises(EffectUnknown) as raised:
        send(ctx, outside)
    assert (raised.value.code, raised.value.retryable) == ("outcome_unknown", False)
    assert (outside.calls, state(ctx)) == (1, "unknown")


def test_a_receiver_that_knows_the_key_is_sent_to_again(ctx: JobContext) -> None:
    """Its error is passed on as it is, so that the job is tried again."""
    outside = Outside(Uncertain())
    with pytest.raises(Uncertain):
        send(ctx, outside, cut_off="again")
    assert send(ctx, outside, cut_off="again").number == 2


@pytest.mark.parametrize("cut", [JobTimeoutException(), MemoryError(), KeyboardInterrupt()])
def test_a_cut_in_the_middle_is_no_word_of_the_other_side(ctx: JobContext, cut: BaseException) -> None:
    """A timeout strikes anywhere, also after the message has left."""
    outside = Outside(cut)
    with pytest.raises(type(cut)):
        send(ctx, outside)
    assert state(ctx) == "started"
    with pytest.raises(EffectUnknown):
        send(ctx, outside)
    assert (outside.calls, state(ctx)) == (1, "unknown")


def test_an_attempt_that_was_overtaken_learns_what_came_of_it(ctx: JobContext) -> None:
    """It was taken for dead while it sent; the second one found it under way and sent nothing."""

    class Slow(Outside):
        def send(self) -> Receipt:
            with pytest.raises(EffectUnknown):
                ctx.effect("mail/1", super().send, channel="email")
            return super().send()

    outside = Slow()
    assert send(ctx, outside).number == 1
    assert (outside.calls, state(ctx)) == (1, "done")


@pytest.mark.parametrize("key", ["", "k" * 201])
def test_a_key_has_a_length(ctx: JobContext, key: str) -> None:
    """One that PostgreSQL would refuse is refused everywhere, before anything happens."""
    outside = Outside()
    with pytest.raises(ValueError, match="1 to 200"):
        ctx.effect(key, outside.send, channel="email")
    assert outside.calls == 0


def test_a_retried_job_does_it_once(services: Services) -> None:
    """Sent by the first attempt, which fails afterwards; the second one gets the first one's result."""
    outside, client = Outside(), job_client(services)

    @spec.job("words.mail", retries=1)
    def mail(ctx: JobContext, args: WordArgs) -> int:
        receipt = send(ctx, outside)
        if ctx.attempt == 1:
            raise RetryableError
        return receipt.number

    job_id = client.start("words.mail", {"word": "x"}, tenant=TENANT)
    run_jobs(services)
    make_due(services)
    run_jobs(services)
    view = client.get(TENANT, job_id)
    assert (view.state, view.result, outside.calls) == ("completed", 1, 1)


def test_what_happened_is_written_down_though_the_database_goes_away_meanwhile(ctx: JobContext) -> None:
    """Only the attempt knows it, so it tries until it can; otherwise the next one would have to say `unknown`."""

    class Away(EffectStore):
        tries = 0

        def finish(self, *args: Any, **values: Any) -> None:
            self.tries += 1
            if self.tries < 3:
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorname = "SQLITE_IOERR"
                raise OperationalError("UPDATE", None, error)
            super().finish(*args, **values)

    store = Away(ctx.services.database)
    ctx.services = replace(ctx.services, effects=store)
    outside = Outside()
    assert send(ctx, outside).number == send(ctx, outside).number == 1
    assert (outside.calls, store.tries, state(ctx)) == (1, 3, "done")
