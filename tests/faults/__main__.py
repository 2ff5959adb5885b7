"""Run the faults, print the table, and write it to docs/reliability.md."""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count, groupby
from pathlib import Path
from random import Random

from tests.faults.faults import FAULTS
from tests.faults.load import Load, Refused
from tests.faults.outside import Outside, outside
from tests.faults.scene import Fault, Scene
from tests.faults.stack import Service, running
from tests.faults.verdict import DRAIN_SECONDS, HEADER, Verdict, counter, drain, judge

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"


def run_all(faults: list[Fault], seed: int, folder: Path, *, short: bool = False) -> list[Verdict]:
    """Run the faults, those of one kind of database on one stack, and return what came of each."""
    verdicts, serials = [], count(1)
    with outside() as beyond:
        for kind, some in groupby(sorted(faults, key=lambda one: one.database, reverse=True), lambda one: one.database):
            with running(folder / kind, kind, beyond) as service:
                for fault in some:
                    verdicts.append(run(fault, service, beyond, seed, serials, short=short))
                    print(verdicts[-1].row, *verdicts[-1].details[:5], sep="\n  ", flush=True)  # noqa: T201
    return verdicts


def run(fault: Fault, service: Service, beyond: Outside, seed: int, serials: Iterator[int], *, short: bool) -> Verdict:
    """Break one thing under load, heal it, and take stock."""
    verdict, before = Verdict(fault.name), counter(service)
    load = Load(service.urls, beyond.url, seed, serials)
    scene = Scene(service, load, beyond, Random(f"{seed} {fault.name}"), short)
    load.start()
    scene.wait(1)
    try:
        verdict.times = fault.inject(scene)
    except (AssertionError, Refused) as error:
        verdict.details.append(f"{type(error).__name__}: {error}")
    scene.wait(1)
    healed = time.monotonic()
    if unanswered := load.stop(2 * DRAIN_SECONDS):
        verdict.details.append(f"{unanswered} clients got no answer")
    drain(service, load, beyond, load.told)
    verdict.drained = time.monotonic() - healed
    judge(verdict, service, beyond, load.told, before)
    verdict.server_errors = load.statuses[500]
    verdict.details += load.complaints
    return verdict


def main() -> int:
    """Return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", default="", metavar="NAME", help="faults whose name has this in it")
    parser.add_argument("--short", action="store_true", help="the form for CI: fewer faults, fewer times")
    parser.add_argument("--folder", type=Path, help="keep the service's data and log here")
    options = parser.parse_args()
    chosen = [one for one in FAULTS if options.only in one.name and (one.short or not options.short)]
    with tempfile.TemporaryDirectory() as temporary:
        verdicts = run_all(chosen, options.seed, options.folder or Path(temporary) / "stack", short=options.short)
    table = "\n".join([HEADER, *(verdict.row for verdict in verdicts)])
    print(f"\nSeed {options.seed}\n\n{table}")  # noqa: T201 - a program for the terminal
    if not options.only and not options.short:
        _write(table, options.seed)
    return 0 if all(verdict.passed for verdict in verdicts) else 1


def _write(table: str, seed: int) -> None:
    page = PAGE.read_text(encoding="utf-8")
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\nSeed {seed}.\n\n{table}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
