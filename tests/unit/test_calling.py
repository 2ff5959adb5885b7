"""Model calls from jobs: attempts, what is repeated and what is not, the breaker, the record of usage."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from redis import Redis

from config import load_config
from jobs.calling import AnswerUnfit, Call, NoModel, ask, complete, lost_tokens, used_tokens, write
from jobs.core.context import JobContext
from jobs.core.errors import Postponed, kind_of
from jobs.core.events import read_events
from jobs.domain.agents import REVIEW_QUESTIONS, SUMMARIZE, AssistantInput, ReviewInput, TextInput, get_agent
from jobs.providers.errors import (
    DeadlinePassed,
    ProviderBusy,
    ProviderError,
    ProviderMisconfigured,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
)
from jobs.providers.llm import Message, build_language_model
from jobs.providers.model_gate import CircuitOpen
from jobs.providers.tokenizer import count_tokens
from jobs.services import Services
from jobs.stores.database import Database
from jobs.stores.usage import UsageFilter
from tests.fakes import engine_services, job_client
from tests.unit.providers.scripted import Exchange, Server, scripted_server

MESSAGES = [Message("user", "什么是熔断器？")]
CALL = Call("first", MESSAGES, "agents", user_id="ada")
NOW = {"Retry_After": "0"}
Answers = Callable[[Exchange], None]


@pytest.fixture
def server() -> Iterator[Server]:
    with scripted_server() as running:
        yield running


@pytest.fixture
def services(redis: Redis, sqlite_database: Database, server: Server) -> Services:
    """With a model, whose breaker opens after five failures and rests for a minute."""
    config = load_config(llm_url=server.url, llm_model="small", breaker_seconds=60)
    return replace(engine_services(redis, config, sqlite_database), llm=build_language_model(server.url, model="small"))


@pytest.fixture
def ctx(services: Services) -> JobContext:
    return context(services)


class Impatient(JobContext):
    """A job that does not wait between attempts."""

    def sleep(self, seconds: float) -> None:
        self.checkpoint()


def context(services: Services, created_at: datetime | None = None) -> JobContext:
    client = job_client(services)
    return Impatient(job_id="j", tenant="acme", attempt=1, services=services, client=client, created_at=created_at)


def reply(text: str, usage: dict[str, int] | None = None) -> Answers:
    return lambda exchange: exchange.json({"choices": [{"message": {"content": text}}], "usage": usage})


def in_turn(*answers: Answers) -> Answers:
    left = list(answers)
    return lambda exchange: (left.pop(0) if len(left) > 1 else left[0])(exchange)


def status(code: int, **headers: str) -> Answers:
    return lambda exchange: exchange.json({}, code, **(headers or NOW))


def used(services: Services) -> tuple[int, int, int]:
    total = services.usage.total("acme", UsageFilter(user_id="ada"))
    return total.calls, total.prompt_tokens, total.completion_tokens


def test_what_failed_for_now_is_tried_again_and_counted_once(
    ctx: JobContext, services: Services, server: Server
) -> None:
    server.script = in_turn(status(503), status(429), reply("好", {"prompt_tokens": 9, "completion_tokens": 2}))
    assert complete(ctx, CALL).text == "好"
    complete(ctx, CALL)  # as a job that runs again does
    assert used(services) == (1, 9, 2)
    assert job_client(services).steps("acme", "j") == {}  # what is counted is no step


def test_five_attempts_are_all(ctx: JobContext, services: Services, server: Server) -> None:
    """An answer that has not the right form says nothing against the endpoint, so the breaker stays closed."""
    server.script = reply("no JSON")
    with pytest.raises(AnswerUnfit):
        ask(ctx, REVIEW_QUESTIONS, ReviewInput(text="x"), key="q")
    assert len(server.requests) == 5
    assert services.model_gate.state().failures == 0


@pytest.mark.parametrize(
    ("code", "error", "kind"),
    [
        (400, ProviderRefused, "NON_RETRYABLE"),
        (422, ProviderRefused, "NON_RETRYABLE"),
        (401, ProviderMisconfigured, "FATAL"),
        (404, ProviderMisconfigured, "FATAL"),
    ],
)
def test_what_cannot_get_better_is_tried_once(
    ctx: JobContext, services: Services, server: Server, code: int, error: type[ProviderError], kind: str
) -> None:
    server.script = status(code)
    with pytest.raises(error) as raised:
        complete(ctx, CALL)
    assert (kind_of(raised.value), len(server.requests)) == (kind, 1)
    assert services.model_gate.state().failures == 0


@pytest.mark.parametrize("error", [ProviderUnavailable(), ProviderTimeout(), ProviderBusy(), AnswerUnfit()])
def test_what_can_get_better_is_retryable(error: ProviderError) -> None:
    assert kind_of(error) == "RETRYABLE"
    assert kind_of(NoModel()) == "FATAL"


def test_an_endpoint_that_is_down_is_waited_for_without_a_worker(
    ctx: JobContext, services: Services, server: Server
) -> None:
    """Five failures in a row open the breaker; the job comes back when one call may try. Nobody asks meanwhile, and
    watchers are told, at the percent where it is."""
    server.script = status(503)
    ctx.progress(40, "Writing.")
    with pytest.raises(Postponed) as left:
        complete(ctx, CALL)
    [*_, told] = read_events(services.redis, "acme", "j")
    assert (told.kind, told.data["percent"]) == ("progress", 40)
    assert told.data["message"].startswith("Waiting for the language model, which does not answer: next try in ")
    assert 50 < left.value.seconds <= 60
    assert services.model_gate.state().breaker == "open"
    with pytest.raises(Postponed):
        complete(context(services), CALL)
    assert len(server.requests) == 5


def test_no_longer_than_until_its_deadline(services: Services, server: Server) -> None:
    server.script = status(503)
    with pytest.raises(Postponed):
        complete(context(services), CALL)
    with pytest.raises(CircuitOpen):
        complete(context(services), replace(CALL, deadline=time.time() + 5))
    with pytest.raises(CircuitOpen):
        complete(context(services, created_at=datetime.now(UTC) - timedelta(hours=2)), CALL)


def test_to_wait_at_the_gate_takes_nothing_off_the_time_for_attempts(
    ctx: JobContext, services: Services, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fails for now is tried again also by a job that had to wait for its turn for long."""
    monkeypatch.setattr("jobs.trying.MAX_SECONDS", 0.5)
    server.script = in_turn(status(503), reply("好"))
    with ExitStack() as others, ThreadPoolExecutor(1) as pool:
        for _ in range(services.config.agent_concurrency):
            others.enter_context(services.model_gate.enter("other"))
        answer = pool.submit(complete, ctx, CALL)
        with pytest.raises(TimeoutError):
            answer.result(0.7)
        others.close()
        assert answer.result(20).text == "好"


def test_after_its_deadline_nothing_is_tried_again(ctx: JobContext, server: Server) -> None:
    """However soon the endpoint says that it may be."""
    server.script = status(503, Retry_After="1")
    with pytest.raises(ProviderUnavailable):
        complete(ctx, replace(CALL, deadline=time.time() + 0.9))
    assert len(server.requests) == 1


@pytest.mark.parametrize("hanging", [Exchange.hang, Exchange.trickle])
def test_a_try_ends_at_the_deadline(ctx: JobContext, services: Services, server: Server, hanging: Answers) -> None:
    """Long before the time that a call has; that says nothing against the endpoint, and no other try begins."""
    server.script = hanging
    with pytest.raises(DeadlinePassed):
        complete(ctx, replace(CALL, deadline=time.time() + 0.3))
    with pytest.raises(DeadlinePassed):
        complete(ctx, replace(CALL, deadline=time.time() - 1))
    assert len(server.requests) == 1
    assert services.model_gate.state().failures == 0
    assert kind_of(DeadlinePassed()) == "NON_RETRYABLE"


def test_tokens_are_counted_where_the_endpoint_gives_none(ctx: JobContext, services: Services, server: Server) -> None:
    server.script = reply("你好")
    completion = complete(ctx, CALL)
    assert completion.estimated
    assert used(services) == (1, completion.prompt_tokens, completion.completion_tokens)
    assert completion.completion_tokens > 0
    assert services.usage.total("acme", UsageFilter()).estimated == 1


@dataclass
class Paper:
    """A pen that keeps what is written; a new beginning throws away what was there."""

    text: str = ""
    begun: int = 0

    def begin(self) -> None:
        self.text, self.begun = "", self.begun + 1

    def write(self, piece: str) -> None:
        self.text += piece


def test_an_answer_is_written_piece_by_piece_and_anew_if_it_breaks_off(
    ctx: JobContext, services: Services, server: Server
) -> None:
    def piece(text: str) -> dict[str, object]:
        return {"choices": [{"delta": {"content": text}}]}

    end = {"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 2}}
    server.script = in_turn(
        lambda exchange: exchange.events(piece("断"), {"error": "broken"}),
        lambda exchange: exchange.events(piece("您"), piece("好"), end, "[DONE]"),
    )
    paper = Paper()
    assert write(ctx, CALL, paper).text == paper.text == "您好"
    assert paper.begun == 2
    asked, said = count_tokens(MESSAGES[0].content), count_tokens("断")
    assert used(services) == (2, 4 + asked, 2 + said)  # what broke off has used tokens, too
    assert lost_tokens(context(services)) == asked + said  # also in the job's next attempt


class Stopped(BaseException): ...


class Torn(Paper):
    def write(self, piece: str) -> None:
        raise Stopped


def test_an_answer_that_a_stop_cuts_off_is_counted(ctx: JobContext, services: Services, server: Server) -> None:
    """By our own count, once the model has said something."""
    server.script = lambda exchange: exchange.events({"choices": [{"delta": {"content": "好"}}]}, "[DONE]")
    with pytest.raises(Stopped):
        write(ctx, CALL, Torn())
    assert used(services)[0] == 1
    assert used_tokens(ctx) == lost_tokens(ctx) == count_tokens(MESSAGES[0].content) + count_tokens("好")


def test_an_agents_answer_has_the_form_of_its_output(ctx: JobContext, server: Server) -> None:
    """The schema goes along; an answer in a fence of Markdown is as good."""
    server.script = in_turn(reply("Sure!"), reply('```json\n{"questions": ["为什么？"]}\n```'))
    answer = ask(ctx, REVIEW_QUESTIONS, ReviewInput(text="水在零度结冰。"), key="q", user_id="ada")
    assert (answer.output, answer.model) == ({"questions": ["为什么？"]}, "small")
    sent = server.requests[0].body
    assert sent["response_format"]["json_schema"]["schema"]["required"] == ["questions"]
    assert "水在零度结冰。" in sent["messages"][1]["content"]


def test_what_an_agent_is_given_is_no_template(ctx: JobContext, server: Server) -> None:
    server.script = reply("ok")
    ask(ctx, get_agent("assistant"), AssistantInput(prompt="{prompt} {audience} {0}"), key="q")
    assert server.requests[0].body["messages"][1]["content"] == "{prompt} {audience} {0}"


def test_without_a_model_an_agent_answers_itself_or_says_that_there_is_none(
    redis: Redis, sqlite_database: Database
) -> None:
    ctx = context(engine_services(redis, database=sqlite_database))
    chinese = ask(ctx, REVIEW_QUESTIONS, ReviewInput(text="熔断器保护下游服务。它在失败后断开。"), key="q")
    assert chinese.model == "built-in"
    assert "熔断器" in chinese.output["questions"][0]
    english = ask(ctx, SUMMARIZE, TextInput(text="Water freezes at zero. It boils at a hundred."), key="q")
    assert english.output == {"summary": "Water freezes at zero.", "key_points": ["It boils at a hundred."]}
    with pytest.raises(NoModel):
        ask(ctx, get_agent("assistant"), AssistantInput(prompt="Hello"), key="q")


def test_answers_that_do_not_fit_have_used_tokens_too(ctx: JobContext, services: Services, server: Server) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 2}
    server.script = in_turn(reply("Sure!", usage), reply('{"questions": ["为什么？"]}', usage))
    ask(ctx, REVIEW_QUESTIONS, ReviewInput(text="x"), key="q", user_id="ada")
    assert used(services) == (2, 18, 4)


def test_figures_that_cannot_be_are_counted_anew(ctx: JobContext, services: Services, server: Server) -> None:
    server.script = reply("好", {"prompt_tokens": -5, "completion_tokens": 10**12})
    assert complete(ctx, CALL).estimated
    assert used(services)[1] > 0
