"""What is answered about chats."""

from typing_extensions import TypedDict

from jobs.domain.analysis import Sentiment
from jobs.domain.answers import Citation
from webapp.shapes.common import Cursor, Time, UserId


class Tokens(TypedDict):
    """The tokens of an answer: the model's own figures, or `estimated`."""

    prompt: int
    completion: int
    estimated: bool


class TaskLink(TypedDict):
    """Where the work that follows is found."""

    task: str


class Reply(TypedDict):
    """The answer to a message; `response_time` is in seconds."""

    user_id: UserId
    session_id: str
    response: str
    response_time: float
    model: str
    citations: list[Citation]
    tokens: Tokens
    background_task_id: str
    links: TaskLink


class UserStats(TypedDict):
    """How much a user has used."""

    user_id: UserId
    total_conversations: int
    total_tokens: int
    last_conversation_at: Time | None


class Conversation(TypedDict):
    """A message and its answer, as they were logged; `cut_off` if its reader left before the end."""

    id: int
    session_id: str
    topic: str | None
    message: str
    response: str
    cut_off: bool
    response_time: float
    model: str
    tokens: int
    tokens_estimated: bool
    created_at: Time


class History(TypedDict):
    """A user's conversations, newest first."""

    user_id: UserId
    conversations: list[Conversation]
    next_cursor: Cursor


class SessionAnalysis(TypedDict):
    """What a session was about, how its user felt, and which questions stayed open; `model` says who found that."""

    topics: list[str]
    sentiment: Sentiment
    open_questions: list[str]
    model: str | None
    analyzed_at: Time | None


class Session(TypedDict):
    """A session; its analysis is null until there is one."""

    session_id: str
    topic: str | None
    exchanges: int
    analysis: SessionAnalysis | None


class Sessions(TypedDict):
    """A user's sessions, those that grew last first."""

    user_id: UserId
    sessions: list[Session]
    next_cursor: Cursor
