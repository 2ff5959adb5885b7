"""Canvases: make a review of one, with questions about the nodes that are not understood yet."""

import logging
from collections.abc import Sequence
from functools import partial
from itertools import count
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from jobs.calling import ask
from jobs.core.client import JobClient
from jobs.core.context import JobContext
from jobs.core.errors import GivenUp, JobError, kind_of
from jobs.core.runner import UNEXPECTED, failure_of
from jobs.core.spec import job
from jobs.core.view import JobView
from jobs.domain.agents import MAX_TEXT, REVIEW_QUESTIONS, ReviewInput
from jobs.domain.canvas.file import CanvasFile
from jobs.domain.canvas.model import Color, Id
from jobs.domain.canvas.names import CanvasName
from jobs.domain.canvas.review import MAX_REVIEWED, TO_REVIEW, Card, lay_out, pick, review_name
from jobs.providers.errors import ProviderError
from jobs.services import Services

log = logging.getLogger(__name__)

REVIEW = "canvases.review"

AnyCase = Annotated[Color, AfterValidator(str.lower)]


def _distinct(given: list[str]) -> list[str]:
    return sorted(set(given))


class ReviewArgs(BaseModel):
    """Which canvas, and which of its nodes: of these colours or ids; the red and purple ones, if nothing is said.

    In the form in which equal requests are equal.
    """

    model_config = ConfigDict(extra="forbid")

    canvas_name: CanvasName
    colors: Annotated[list[AnyCase], Field(min_length=1, max_length=20), AfterValidator(_distinct)] | None = None
    node_ids: Annotated[list[Id], Field(min_length=1, max_length=MAX_REVIEWED), AfterValidator(_distinct)] | None = None
    questions_per_node: int = Field(default=2, ge=1, le=5)

    @model_validator(mode="after")
    def _one_choice(self) -> Self:
        if self.colors and self.node_ids:
            raise ValueError("give `colors` or `node_ids`, not both")
        if self.node_ids is None:
            self.colors = self.colors or sorted(TO_REVIEW)
        return self


class Unanswered(BaseModel):
    """A node without questions, and why."""

    node_id: str
    code: str
    message: str


class Answers(BaseModel):
    """The questions about each node, by its id, and the nodes for which the model failed."""

    questions: dict[str, list[str]] = {}
    failures: list[Unanswered] = []


class ReviewResult(BaseModel):
    """The review that was made; `failures` are listed on it too."""

    review_canvas_name: str
    source_canvas_name: str
    node_count: int
    question_count: int
    failures: list[Unanswered]


def start_review(
    services: Services, client: JobClient, tenant: str, args: ReviewArgs, job_id: str | None = None
) -> JobView:
    """Have a review made; return the job that does so, or that of an equal request which is under way.

    Raises:
        CanvasNotFound, UnknownNode, NothingToReview, ReviewTooLarge
    """
    _pick(services, tenant, args)
    return client.get(tenant, client.start(REVIEW, args, tenant=tenant, job_id=job_id))


@job(REVIEW, queue="default", timeout=3600, reuse=0, public=True)
def review(ctx: JobContext, args: ReviewArgs) -> ReviewResult:
    """Ask an agent for questions about each node that is to be reviewed, and lay them out as a canvas of their own."""
    cards = ctx.step("read", _read, ctx, args)
    answers = ctx.step("ask", _ask_about, ctx, args, cards)
    return ctx.step("write", _write, ctx, args, cards, answers)


def _read(ctx: JobContext, args: ReviewArgs) -> list[Card]:
    return _pick(ctx.services, ctx.tenant, args)


def _pick(services: Services, tenant: str, args: ReviewArgs) -> list[Card]:
    canvas = services.canvases.get(tenant, args.canvas_name)
    return pick(list(CanvasFile(canvas.content.decode()).items("nodes")), args.colors, args.node_ids)


def _ask_about(ctx: JobContext, args: ReviewArgs, cards: Sequence[Card]) -> Answers:
    """Ask about all nodes; what is answered is kept at once, and not asked again when the job goes on after a stop."""
    tasks = {f"ask {card.id}": partial(_ask, ctx, args, card) for card in cards if card.readable}
    ids = {f"ask {card.id}": card.id for card in cards}
    answers = Answers()
    for number, done in enumerate(ctx.parallel(tasks, ctx.services.config.agent_concurrency), 1):
        if done.error is None:
            answers.questions[ids[done.name]] = done.result
        else:
            answers.failures.append(_unanswered(ctx, ids[done.name], done.error))
            if kind_of(done.error) == "FATAL" or len(answers.failures) == len(tasks):
                raise _given_up(done.error)  # mended, and queued again, the job goes on with what it has
        ctx.progress(100 * number / len(tasks), f"{number} of {len(tasks)}")
    return answers


def _ask(ctx: JobContext, args: ReviewArgs, card: Card) -> list[str]:
    given = ReviewInput(text=card.text[:MAX_TEXT], count=args.questions_per_node)
    answer = ask(ctx, REVIEW_QUESTIONS, given, key=f"ask {card.id}")
    return list(REVIEW_QUESTIONS.bounded(given, answer).output["questions"])


def _given_up(error: Exception) -> Exception:
    """Return an error that had its attempts as one that is not tried again; a fault of ours stays what it is."""
    return GivenUp(error) if isinstance(error, ProviderError | JobError) else error


def _unanswered(ctx: JobContext, node_id: str, error: Exception) -> Unanswered:
    failure = failure_of(error)
    if failure.code == UNEXPECTED:
        log.error("job %s has no questions about a node", ctx.job_id, exc_info=error)
    return Unanswered(node_id=node_id, code=failure.code, message=failure.message)


def _write(ctx: JobContext, args: ReviewArgs, cards: Sequence[Card], answers: Answers) -> ReviewResult:
    source, day = args.canvas_name, ctx.created_at.date()
    questions = [(card, answers.questions[card.id]) for card in cards if card.id in answers.questions]
    why = {failure.node_id: failure for failure in answers.failures}
    failures = [(card, why[card.id].code, why[card.id].message) for card in cards if card.id in why]
    unreadable = [card for card in cards if not card.readable]
    file = CanvasFile(lay_out(source, day, questions, failures, unreadable))
    names = (review_name(source, day, number) for number in count(1))
    name = ctx.services.canvases.add_new(ctx.tenant, names, file.whole(), ctx.job_id)
    no_text = [
        Unanswered(node_id=card.id, code="not_readable", message=f"A node of type {card.type} without a text.")
        for card in unreadable
    ]
    return ReviewResult(
        review_canvas_name=name,
        source_canvas_name=source,
        node_count=len(cards),
        question_count=sum(len(asked) for _, asked in questions),
        failures=[*answers.failures, *no_text],
    )
