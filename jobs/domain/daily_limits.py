"""What a user may use in a day: what is used for good, and what calls under way hold of it until they end."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar


class LimitReached(Exception):
    """The user's conversations or tokens of the day are used up, or fewer are left than the message needs."""

    code: ClassVar[str] = "limit_reached"

    def __init__(self, why: str) -> None:
        tomorrow = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        super().__init__(f"{why}; the day ends at {tomorrow:%Y-%m-%dT%H:%M:%SZ}.")
        self.retry_after = (tomorrow - datetime.now(UTC)).total_seconds()


class LimitUnderWay(Exception):
    """Messages of the user that are being answered hold what is left of the day. Try again when they have ended."""

    code: ClassVar[str] = "limit_under_way"
    retry_after: ClassVar[float] = 2.0

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


@dataclass(frozen=True)
class Taken:
    """What was taken off a day."""

    conversations: int = 0
    tokens: int = 0


@dataclass(frozen=True)
class DailyLimits:
    """Of conversations, and of tokens; 0 is none."""

    conversations: int = 0
    tokens: int = 0

    def granted(self, used: Taken, held: Taken, *, least: int, most: int) -> int:
        """Return how many tokens, from `least` to `most`, the next call may use of a day.

        Raises:
            LimitReached: too little is left.
            LimitUnderWay: too little is left as long as other calls hold some.
        """
        if self.conversations and used.conversations >= self.conversations:
            raise LimitReached(f"The user's {self.conversations} conversations of the day are used up")
        left = self.tokens - used.tokens
        if self.tokens and left <= 0:
            raise LimitReached(f"The user's {self.tokens} tokens of the day are used up")
        if self.tokens and left < least:
            raise LimitReached(f"{left} of the user's {self.tokens} tokens of the day are left, of {least} needed")
        if self.conversations and used.conversations + held.conversations >= self.conversations:
            raise LimitUnderWay
        if self.tokens and left - held.tokens < least:
            raise LimitUnderWay
        return min(most, left - held.tokens) if self.tokens else most
