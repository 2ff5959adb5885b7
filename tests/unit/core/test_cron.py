"""When schedules are due, the change of clocks included."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from jobs.core.cron import Timing, check_cron, check_zone

BERLIN = "Europe/Berlin"


def at(text: str) -> float:
    """Return a time with its offset in seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


def times(cron: str, start: str, count: int, zone: str = BERLIN) -> list[str]:
    """Return the next times of a cron line as local time with offset."""
    timing, moment, found = Timing(cron, None, zone, 0), at(start), []
    for _ in range(count):
        due = timing.next(moment)
        assert due is not None
        assert due > moment
        moment = due
        found.append(datetime.fromtimestamp(due, ZoneInfo(zone)).strftime("%d %H:%M %z"))
    return found


def test_a_line_is_read_in_its_zone() -> None:
    """Nine in Shanghai is one in the morning, UTC; on weekdays only."""
    assert Timing("0 9 * * 1-5", None, "Asia/Shanghai", 0).next(at("2026-06-05T02:00+00:00")) == at(
        "2026-06-08T01:00+00:00"
    )


def test_a_skipped_local_time_runs_once() -> None:
    """Half past two does not exist on 29 March: it runs as the clocks have moved, together with what is due then."""
    assert times("30 2 * * *", "2026-03-28T12:00+01:00", 2) == ["29 03:00 +0200", "30 02:30 +0200"]
    assert times("0 2,3 * * *", "2026-03-28T12:00+01:00", 2) == ["29 03:00 +0200", "30 02:00 +0200"]


def test_a_doubled_local_time_runs_once() -> None:
    """Half past two comes twice on 25 October: it runs the first time, also when asked between the two."""
    assert times("30 2 * * *", "2026-10-24T12:00+02:00", 2) == ["25 02:30 +0200", "26 02:30 +0100"]
    assert times("30 2 * * *", "2026-10-25T02:10+01:00", 1) == ["26 02:30 +0100"]


def test_a_wildcard_goes_by_elapsed_time() -> None:
    """Every half hour stays every half hour, in both nights."""
    for night, count in (("2026-03-28T23:00+00:00", 10), ("2026-10-24T22:00+00:00", 10)):
        timing, moment, gaps = Timing("*/30 * * * *", None, BERLIN, 0), at(night), []
        for _ in range(count):
            due = timing.next(moment)
            assert due is not None
            gaps.append(due - moment)
            moment = due
        assert gaps == [1800] * count


@pytest.mark.parametrize("zone", ["Europe/London", "America/New_York", "Australia/Lord_Howe", "America/Santiago"])
@pytest.mark.parametrize("cron", ["30 2 * * *", "0 0 * * *", "45 1 * * *"])
def test_a_daily_line_runs_once_on_each_local_day(zone: str, cron: str) -> None:
    """For two years, in zones that change their clocks by an hour or by half of one, at midnight or later."""
    timing, moment, days = Timing(cron, None, zone, 0), at("2025-06-01T12:00+00:00"), list[date]()
    while moment < at("2027-06-01T12:00+00:00"):
        due = timing.next(moment)
        assert due is not None
        moment = due
        days.append(datetime.fromtimestamp(due, ZoneInfo(zone)).date())
    assert len(set(days)) == len(days) == (days[-1] - days[0]).days + 1


def test_an_interval_keeps_its_rhythm() -> None:
    """Counted from the anchor, whenever it is asked for; never now, always later."""
    timing = Timing(None, 60, "UTC", 1000)
    assert [timing.next(moment) for moment in (1000, 1000.5, 1059.9, 1060, 5000)] == [1060, 1060, 1060, 1120, 5020]
    assert timing.next(500) == 1060  # the clock was set back


@pytest.mark.parametrize(
    "line",
    ["", "* * * *", "61 * * * *", "* * * * * *", "@daily", "0 0 30 2 *", "*/0 * * * *", "5-1 * * * *", "x * * * *"],
)
def test_a_line_that_is_none_or_never_due_is_refused(line: str) -> None:
    """Five fields, and a date that comes."""
    with pytest.raises(ValueError, match="cron"):
        check_cron(line)


def test_a_line_is_kept_with_single_spaces() -> None:
    """Names of days and months are understood."""
    assert check_cron("  0  9 * JAN   mon-fri ") == "0 9 * JAN mon-fri"
    assert datetime.fromtimestamp(Timing("0 0 29 2 *", None, "UTC", 0).next(at("2026-01-01T00:00Z")) or 0, UTC) == (
        datetime(2028, 2, 29, tzinfo=UTC)
    )


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "../etc/passwd", "", "europe/berlin", "UTC\0"])
def test_only_zones_of_the_iana_database(zone: str) -> None:
    """Nothing else, and no path."""
    with pytest.raises(ValueError, match="IANA"):
        check_zone(zone)
