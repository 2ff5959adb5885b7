"""When a schedule is due: cron lines in a time zone, and intervals.

Cron follows Debian's cron at the change of clocks: a line with a fixed hour and minute runs once for a local time that
is skipped (as the clocks have moved) and once for one that comes twice (the first time); a line with a wildcard in hour
or minute goes by elapsed time, so that "every 15 minutes" stays that.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

MAX_EVERY = 366 * 24 * 3600  # seconds
_FIELDS = 5  # minute, hour, day of the month, month, day of the week


def check_cron(line: str) -> str:
    """Return a cron line that has times to come, with single spaces.

    Raises:
        ValueError: it is none; the message says which field is wrong.
    """
    fields = line.split()
    if len(fields) != _FIELDS:
        raise ValueError("a cron line has five fields: minute, hour, day of the month, month, day of the week")
    try:
        next(CronSim(" ".join(fields), datetime.now(UTC)))
    except CronSimError as error:
        raise ValueError(f"not a cron line: {error}") from None
    except StopIteration:
        raise ValueError("this cron line is never due") from None
    return " ".join(fields)


def check_zone(name: str) -> str:
    """Return the name of an IANA time zone.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in _zones():
        raise ValueError("not a time zone of the IANA database, as Europe/Berlin or UTC")
    return name


@dataclass(frozen=True)
class Timing:
    """When something is due: a cron line in its zone, or every so many seconds from `anchor` (since 1970) on."""

    cron: str | None
    every: int | None
    timezone: str
    anchor: int

    def next(self, after: float) -> int | None:
        """Return the first time after `after`, both in seconds since 1970; None if there is none.

        Raises:
            ValueError: the cron line or the zone is not known here.
        """
        if self.every:
            return self.anchor + (max(0, int(after) - self.anchor) // self.every + 1) * self.every
        zone = ZoneInfo(check_zone(self.timezone))
        start = datetime.fromtimestamp(after, UTC).astimezone(zone)
        times = (int(found.timestamp()) for found in CronSim(check_cron(self.cron or ""), start))
        # Within an hour that comes twice, the search begins with the first of the two.
        return next((moment for moment in times if moment > after), None)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())
