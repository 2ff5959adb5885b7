"""Accepted work, on both databases."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread

import pytest

from jobs.stores.database import Database
from jobs.stores.work import WorkStore
from jobs.stores.work_rows import CANCELED, COMPLETED, FAILED, OPEN, AcceptedBatch, NewWork


@pytest.fixture
def store(database: Database) -> WorkStore:
    return WorkStore(database)


def new(work_id: str = "w1", **fields: object) -> NewWork:
    return NewWork(**{"id": work_id, "tenant": "acme", "type": "t", "content": "{}", "keep": 60} | fields)  # type: ignore[arg-type]


def taken(store: WorkStore, asked: NewWork) -> tuple[str, str]:
    """Accept work; return the id and the state of what is the same."""
    same = store.accept(asked)
    return same.id, same.state


def later() -> datetime:
    return datetime.now(UTC) + timedelta(minutes=1)


def test_an_id_is_accepted_once(store: WorkStore) -> None:
    assert taken(store, new()) == ("w1", OPEN)
    assert taken(store, new()) == ("w1", OPEN)
    assert [work.id for work in store.open(after=0, before=later(), limit=9)] == ["w1"]


def test_only_the_newest_attempt_completes(store: WorkStore) -> None:
    """The fence: one that was taken for dead finds its generation old."""
    store.accept(new())
    old, newest = store.claim("w1", again=True), store.claim("w1", again=True)
    assert old
    assert newest
    assert (old.generation, newest.generation) == (1, 2)
    assert not store.complete("w1", 1, '"old"')
    assert store.complete("w1", 2, '"new"')
    done = store.claim("w1", again=True)
    assert done
    assert (done.generation, done.work.state, done.work.result) == (None, COMPLETED, '"new"')


def test_what_failed_runs_again_if_it_is_started_again(store: WorkStore) -> None:
    """`rq requeue` does so; a rebuilt batch asks for what it came to."""
    store.accept(new())
    assert store.end("w1", FAILED, "no_text", "Nothing.")
    kept = store.claim("w1", again=False)
    assert kept
    assert (kept.generation, kept.work.error_code) == (None, "no_text")
    again = store.claim("w1", again=True)
    assert again
    assert (again.generation, again.work.state, again.work.error_code) == (1, OPEN, None)


def test_only_the_first_of_an_id_is_new(store: WorkStore) -> None:
    """Whoever sends it again finds it, in whatever state."""
    assert [store.accept(new()).is_new for _ in range(2)] == [True, False]
    store.end("w1", FAILED, "code", "Text.")
    assert (store.accept(new()).is_new, taken(store, new())) == (False, ("w1", FAILED))


def test_many_claims_at_once_have_a_generation_each(store: WorkStore) -> None:
    """No update is lost with eight writers."""
    store.accept(new())
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda _: store.claim("w1", again=True), range(40)))
    assert sorted(claim.generation or 0 for claim in claims if claim) == list(range(1, 41))


@pytest.mark.parametrize("how", ["claim", "reopen"])
def test_work_begins_again_while_equal_work_is_open(store: WorkStore, how: str) -> None:
    """A failed job that is requeued keeps out of the way of the one that took its place."""
    store.accept(new("w1", fingerprint="f"))
    store.end("w1", FAILED, "code", "Text.")
    store.accept(new("w2", fingerprint="f"))
    if how == "claim":
        store.claim("w1", again=True)
    else:
        store.reopen("w1")
    known = store.known("acme", ["w1", "w2"])
    assert {work.state for work in known.values()} == {OPEN}
    assert taken(store, new("w3", fingerprint="f")) == ("w2", OPEN)


def test_another_tenants_work_is_not_there(store: WorkStore) -> None:
    """Not to be seen, and not to be deleted."""
    store.accept(new())
    store.delete("other", "w1")
    assert (store.get("other", "w1"), set(store.known("acme", ["w1"]))) == (None, {"w1"})


def test_an_end_is_recorded_once_and_a_completed_one_stays(store: WorkStore) -> None:
    store.accept(new())
    store.complete("w1", None, "1")
    assert not store.end("w1", CANCELED, "canceled", "Late.")
    assert store.claim("gone", again=True) is None


def test_a_fingerprint_joins_what_is_open_or_fresh(store: WorkStore) -> None:
    """Another tenant's does not; failed work does not; a fresh start takes the fingerprint over."""
    equal = {"fingerprint": "f", "reuse_seconds": 60}
    store.accept(new("w1", **equal))
    assert taken(store, new("w2", **equal)) == ("w1", OPEN)
    assert taken(store, new("w3", tenant="other", **equal)) == ("w3", OPEN)
    store.complete("w1", None, "1")
    assert taken(store, new("w4", **equal)) == ("w1", COMPLETED)
    assert taken(store, new("w5", fresh=True, **equal)) == ("w5", OPEN)
    assert taken(store, new("w6", fresh=True, **equal)) == ("w6", OPEN)
    assert taken(store, new("w7", **equal)) == ("w6", OPEN)
    store.end("w6", FAILED, "x", "")
    assert taken(store, new("w8", **equal)) == ("w8", OPEN)
    store.complete("w8", None, "1")
    assert taken(store, new("w9", fingerprint="f", reuse_seconds=0)) == ("w9", OPEN)


def test_fifty_equal_requests_at_once_are_one_work(store: WorkStore) -> None:
    barrier = Barrier(10)
    ids: list[str] = []

    def ask(number: int) -> None:
        barrier.wait()
        ids.extend(store.accept(new(f"w{number}-{n}", fingerprint="f")).id for n in range(5))

    threads = [Thread(target=ask, args=[number]) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 50
    assert len(set(ids)) == 1


def test_a_batch_is_accepted_as_a_whole_and_once(store: WorkStore) -> None:
    batch = AcceptedBatch("b", "acme", "monday", 3, None, OPEN, datetime.now(UTC))
    jobs = [new(f"b{n}", batch_id="b") for n in range(3)]
    for _ in range(2):
        store.accept_batch(batch, jobs)
    assert [work.id for work in store.of_batch("b")] == ["b0", "b1", "b2"]
    assert [one.id for one in store.list_batches("acme", before=None, limit=9)] == ["b"]
    assert store.list_batches("other", before=None, limit=9) == []
    store.end_batch("b", 60)
    assert store.open_batches(later()) == []


def test_what_ended_long_ago_is_forgotten(store: WorkStore) -> None:
    store.accept(new("w1"))
    store.accept(new("w2", keep=3600))
    for work_id in ("w1", "w2"):
        store.complete(work_id, None, "1")
    store.accept(new("w3"))
    assert store.purge(datetime.now(UTC).timestamp() + 120) == 1
    assert set(store.known("acme", ["w1", "w2", "w3"])) == {"w2", "w3"}
