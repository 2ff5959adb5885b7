"""A process that writes: `python -m tests.unit.stores.writer URL ROUNDS`. It says how often it was the first."""

import sys

from sqlalchemy import text

from jobs.stores.database import Database
from jobs.stores.effects import EffectStore


def main(url: str, rounds: int) -> int:
    """Count in every round; and once more if no other process has had that round. Return how often that was so."""
    database, first = Database(url), 0
    effects = EffectStore(database)
    for number in range(rounds):
        with database.write() as connection:
            connection.execute(text("UPDATE counts SET n = n + 1 WHERE name = 'all'"))
            if effects.once(connection, "acme", f"round/{number}", "test"):
                connection.execute(text("UPDATE counts SET n = n + 1 WHERE name = 'first'"))
                first += 1
    return first


if __name__ == "__main__":
    print(main(sys.argv[1], int(sys.argv[2])))  # noqa: T201 - read by the test
