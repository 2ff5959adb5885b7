"""What is answered about the memory of users."""

from typing_extensions import TypedDict

from webapp.shapes.common import Cursor, Started, Time, UserId


class Memorizing(Started):
    """A conversation that is being summed up."""

    message: str
    user_id: UserId


class Fact(TypedDict):
    """What is known of a user; `model` says who wrote it, `built-in` that these are the user's own words."""

    id: int
    text: str
    topic: str | None
    session_id: str | None
    model: str
    created_at: Time
    confirmed_at: Time


class Memories(TypedDict):
    """What is known of a user, newest first."""

    user_id: UserId
    memories: list[Fact]
    next_cursor: Cursor
