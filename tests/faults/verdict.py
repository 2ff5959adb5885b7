"""Hold what clients were told against what the outside got and what the database says."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select, text

from jobs.stores.schema import documents, effects, work
from tests.faults.kinds import COUNTER
from tests.faults.load import Load, Told, mail_subject
from tests.faults.outside import Outside
from tests.faults.stack import Service

DRAIN_SECONDS = 60.0
_LONGER = 60.0  # to tell what comes late from what never comes
# How jobs that do harm must end.
HARM = {"segfault": "worker_died", "memory": "resource_limit", "stubborn": "timeout"}


@dataclass
class Verdict:
    """One row of the table. `details` name what went wrong."""

    fault: str
    times: int = 0
    acknowledged: int = 0
    lost: int = 0
    repeated: int = 0
    unknown: int = 0
    server_errors: int = 0
    drained: float = 0.0
    details: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether all promises were kept."""
        return (
            bool(self.acknowledged)
            and not (self.lost or self.repeated or self.server_errors or self.details)
            and self.drained <= DRAIN_SECONDS
        )

    @property
    def row(self) -> str:
        """The row of docs/reliability.md."""
        numbers = (self.times, self.acknowledged, self.lost, self.repeated, self.unknown, self.server_errors)
        return f"| {self.fault} | {' | '.join(map(str, numbers))} | {self.drained:.0f} |"


HEADER = (
    "| Fault | Times | Acknowledged | Lost | Repeated effects | Unknown | Answers 500 | Seconds to drain |\n"
    "|---|---|---|---|---|---|---|---|"
)


@dataclass
class _Ends:
    """How jobs ended, by id: state and error code of the row; jobs whose document is not read, and
    those of which an effect is `unknown`."""

    states: dict[str, tuple[str, str | None]]
    unread: set[str]
    unknown: set[str]


def drain(service: Service, load: Load, outside: Outside, told: Sequence[Told]) -> float:
    """Wait until all has ended and all webhooks were told; return how many seconds that took."""
    began = time.monotonic()
    while time.monotonic() < began + DRAIN_SECONDS + _LONGER:
        ends = _look(service, told)
        open_ = [one for one in told if ends.states.get(one.job_id, ("open", None))[0] == "open" or _unread(ends, one)]
        untold = [one for one in told if one.hooked and one.serial not in outside.told]
        if not open_ and not untold:
            break
        time.sleep(0.25)
    return time.monotonic() - began


def judge(verdict: Verdict, service: Service, outside: Outside, told: Sequence[Told], counted_before: int) -> None:
    """Fill in what was lost and what was repeated."""
    ends, serials = _look(service, told), {one.serial for one in told if one.kind == "count"}
    verdict.acknowledged = len({one.job_id for one in told})
    seen: set[str] = set()
    for one in told:
        if one.job_id not in seen and (why := _lost(one, ends, outside)):
            verdict.lost += 1
            verdict.details.append(f"lost {one.kind} {one.serial} {one.job_id}: {why}")
        seen.add(one.job_id)
    verdict.unknown = len(ends.unknown)
    for serial in serials:
        if outside.posts[serial] > 1:
            verdict.repeated += outside.posts[serial] - 1
            verdict.details.append(f"posted {outside.posts[serial]} times: {serial}")
        if len(outside.told.get(serial, ())) > 1:
            verdict.repeated += 1
            verdict.details.append(f"webhook under several ids: {serial}")
    for one in told:
        if one.kind == "mail" and (mails := outside.mails(mail_subject(one.serial))) > 1:
            verdict.repeated += mails - 1
            verdict.details.append(f"mailed {mails} times: {one.serial}")
    counted = counter(service) - counted_before
    if counted != len(serials):
        verdict.details.append(f"counted {counted} of {len(serials)}")
        verdict.repeated += max(0, counted - len(serials))


def counter(service: Service) -> int:
    """Return what the jobs have counted."""
    with service.database.read() as connection:
        return int(connection.execute(text(f"SELECT n FROM {COUNTER}")).scalar_one())


def _lost(one: Told, ends: _Ends, outside: Outside) -> str | None:
    state, code = ends.states.get(one.job_id, ("gone", None))
    if one.kind in HARM:
        return None if (state, code) == ("failed", HARM[one.kind]) else f"{state} {code}"
    if state == "failed" and code == "outcome_unknown" and one.job_id in ends.unknown:
        return None  # cut off in the middle, and said so
    if state != "completed":
        return f"{state} {code}"
    if one.kind == "count" and not outside.posts[one.serial]:
        return "completed, and not posted"
    if one.kind == "mail" and not outside.mails(mail_subject(one.serial)):
        return "completed, and not mailed"
    if one.hooked and one.serial not in outside.told:
        return "its webhook was not told"
    return "its document was not read" if _unread(ends, one) else None


def _unread(ends: _Ends, one: Told) -> bool:
    return one.kind == "upload" and one.job_id in ends.unread


def _look(service: Service, told: Sequence[Told]) -> _Ends:
    ids = {one.job_id for one in told}
    with service.database.read() as connection:
        rows = connection.execute(select(work.c.id, work.c.state, work.c.error_code)).all()
        unread = connection.execute(select(documents.c.job_id).where(documents.c.status != "completed")).scalars().all()
        unknown = connection.execute(select(effects.c.job_id).where(effects.c.state == "unknown")).scalars().all()
    return _Ends(
        {row.id: (row.state, row.error_code) for row in rows if row.id in ids},
        ids & set(unread),
        ids & set(unknown),
    )
