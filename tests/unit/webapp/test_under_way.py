"""A request that takes long keeps its key; one whose process is dead gives it up soon."""

import time

from jobs.stores.database import Database
from jobs.stores.requests import RequestStore
from webapp.under_way import UnderWay


def test_a_request_is_spoken_for_until_it_ends(sqlite_database: Database) -> None:
    """Every beat; afterwards no more, and then another may take the key."""
    store = RequestStore(sqlite_database)
    under_way = UnderWay(store, beat=0.2)
    token = store.begin("acme", "k", "r", in_flight=60).token
    assert token
    under_way.add(token)
    until = time.monotonic() + 3
    while time.monotonic() < until:  # longer than the 2 s after which it would be taken over
        assert store.begin("acme", "k", "r", in_flight=1.5).token is None
        time.sleep(0.1)
    under_way.remove(token)
    while store.begin("acme", "k", "r", in_flight=1.5).token is None:
        assert time.monotonic() < until + 10
        time.sleep(0.05)
