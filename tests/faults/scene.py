"""What a fault is, and what it has to do with."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tests.faults.load import Load
from tests.faults.outside import Outside
from tests.faults.stack import Service


@dataclass
class Scene:
    """What a fault has to do with. `short` asks for few repetitions."""

    service: Service
    load: Load
    outside: Outside
    random: Random
    short: bool = False

    def times(self, full: int, short: int) -> range:
        """Return how often to do it."""
        return range(short if self.short else full)

    def wait(self, seconds: float) -> None:
        """Let the load go on."""
        time.sleep(seconds)


@dataclass(frozen=True)
class Fault:
    """`database` is the kind that it is for; `short` ones are in the form for CI."""

    name: str
    inject: Callable[[Scene], int]
    database: str = "sqlite"
    short: bool = False


FAULTS: list[Fault] = []


def fault(name: str, *, database: str = "sqlite", short: bool = False) -> Callable[[Callable[[Scene], int]], object]:
    """Declare a fault."""

    def declare(inject: Callable[[Scene], int]) -> object:
        FAULTS.append(Fault(name, inject, database, short))
        return inject

    return declare
