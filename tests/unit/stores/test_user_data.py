"""Exports, and the rows of a user, on both databases."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from jobs.domain.chat import BUILT_IN
from jobs.stores.conversations import ConversationStore, NewConversation
from jobs.stores.database import Database
from jobs.stores.exports import ExportNotReady, ExportStore
from jobs.stores.sessions import SessionStore
from jobs.stores.usage import UsageFilter, UsageStore
from jobs.stores.user_data import Kind, UserDataStore
from tests.fakes import PRICES

KINDS: tuple[Kind, ...] = ("conversations", "sessions", "notifications", "research", "registrations")


def said(number: int, user_id: str) -> NewConversation:
    return NewConversation("a", user_id, f"s{number}", None, "你好", "好", False, "m", 1, 1, True, 0.1)


def test_what_is_being_logged_is_deleted_too(database: Database) -> None:
    """Whoever moves a user's rows at this moment is waited for: none slips through, and no other user's goes."""
    store, data = ConversationStore(database, UsageStore(database, PRICES)), UserDataStore(database)
    for number in range(60):
        store.accept(said(number, str(number % 2)))

    def erase(_: int) -> int:
        return store.drop_waiting("a", "1") + sum(data.drop_some(kind, "a", "1") for kind in KINDS)

    with ThreadPoolExecutor(4) as pool:
        logging = [pool.submit(store.log, "a") for _ in range(2)]
        erasing = [pool.submit(erase, number) for number in range(2)]
        [each.result() for each in (*logging, *erasing)]
    assert store.log("a").conversations <= 30
    assert (store.history("a", "1"), SessionStore(database).list("a", "1")) == ([], [])
    assert len(store.history("a", "0", limit=100)) == 30
    assert sum(data.drop_some(kind, "b", "0") for kind in KINDS) == 0


def test_what_waiting_conversations_have_used_is_that_of_no_user(database: Database) -> None:
    """It was paid for. What the built-in answers used was nothing."""
    usage = UsageStore(database, PRICES)
    store = ConversationStore(database, usage)
    for model in ("m", "m", BUILT_IN):
        store.accept(replace(said(1, "1"), model=model))
    store.accept(said(2, "2"))
    assert (store.drop_waiting("a", "1"), store.drop_waiting("a", "1")) == (3, 0)
    assert store.log("a").conversations == 1
    assert {total.group: total.calls for total in usage.totals("a", "user", UsageFilter())} == {"": 2, "2": 1}


def test_an_export_has_one_file(database: Database) -> None:
    """Whoever is second keeps none; a deleted one has none any more."""
    store = ExportStore(database)
    store.add("a", "x", "1", "csv")
    assert store.add("a", "x", "1", "csv").status == "processing"
    assert [each.id for each in store.without_job(0)] == ["x"]
    with pytest.raises(ExportNotReady, match="processing"):
        store.finished("a", "x")
    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(lambda n: store.complete("a", "x", f"blob-{n}", 1, {"memory": 1}), range(4))) == [
            False,
            False,
            False,
            True,
        ]
    done, blob = store.finished("a", "x")
    assert (done.status, done.records, store.named_blobs([blob, "other"])) == ("completed", {"memory": 1}, {blob})
    store.fail("a", "x", "late")
    assert store.get("a", "x").status == "completed"
    store.delete("a", "x")
    assert not store.complete("a", "x", "blob", 1, {})
