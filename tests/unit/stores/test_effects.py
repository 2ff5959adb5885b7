"""The ledger of effects, on both databases."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from jobs.stores.database import Database
from jobs.stores.effects import DONE, FAILED, STARTED, UNKNOWN, EffectStore


@pytest.fixture
def store(database: Database) -> EffectStore:
    return EffectStore(database)


def begin(store: EffectStore, cut_off: str = "unknown", tenant: str = "acme"):  # type: ignore[no-untyped-def]
    return store.begin(tenant, "mail/1", channel="mail", job_id="j", cut_off=cut_off)  # type: ignore[arg-type]


def test_what_is_done_is_not_begun_again(store: EffectStore) -> None:
    """Its result is kept; another tenant's effect of the same key is another one."""
    first = begin(store)
    assert first.token
    store.finish("acme", "mail/1", first.token, DONE, result='"250 ok"')
    again = begin(store)
    assert (again.state, again.token, again.result) == (DONE, None, '"250 ok"')
    assert begin(store, tenant="other").token


def test_what_was_cut_off_is_unknown_and_stays_so(store: EffectStore) -> None:
    begin(store)
    for _ in range(2):
        cut_off = begin(store)
        assert (cut_off.state, cut_off.token) == (UNKNOWN, None)


def test_what_was_cut_off_is_begun_again_where_the_other_side_knows_the_key(store: EffectStore) -> None:
    first, second = begin(store, "again"), begin(store, "again")
    assert second.token not in (None, first.token)
    found = store.get("acme", "mail/1")
    assert found is not None
    assert (found.state, found.attempts) == (STARTED, 2)


def test_what_failed_is_begun_again(store: EffectStore) -> None:
    first = begin(store)
    assert first.token
    store.finish("acme", "mail/1", first.token, FAILED, error_code="refused")
    assert begin(store).token


def test_a_late_word_of_the_one_who_did_it_counts(store: EffectStore) -> None:
    """It was taken for dead, and was only slow: what it says is what happened."""
    slow = begin(store)
    begin(store)
    assert slow.token
    store.finish("acme", "mail/1", slow.token, DONE, result="1")
    assert begin(store).state == DONE


def test_a_count_is_made_once_with_its_transaction(store: EffectStore, database: Database) -> None:
    """Rolled back together, made together."""
    with database.write() as connection:
        assert store.once(connection, "acme", "count/1", "counter")
        connection.rollback()
    for expected in (True, False):
        with database.write() as connection:
            assert store.once(connection, "acme", "count/1", "counter") is expected


def test_old_effects_are_forgotten(store: EffectStore) -> None:
    begin(store)
    assert store.purge(0) == 0
    assert store.purge(2**33) == 1
    assert store.get("acme", "mail/1") is None


@pytest.mark.parametrize("before", ["nothing", FAILED])
def test_of_many_attempts_at_once_one_begins(store: EffectStore, before: str) -> None:
    """Eight that overlap: the others find it under way, and leave it alone."""
    if before == FAILED:
        store.finish("acme", "mail/1", str(begin(store).token), FAILED)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: begin(store).token, range(8)))
    assert len([token for token in found if token]) == 1
