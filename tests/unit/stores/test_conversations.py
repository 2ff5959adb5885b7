"""Logging conversations, on both databases: each once, many in one transaction."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import event, insert

from jobs.domain.analysis import Analysis
from jobs.stores.conversations import ROUND, ConversationStore, NewConversation, waiting
from jobs.stores.database import Database
from jobs.stores.memories import MemoryStore, PendingMemory
from jobs.stores.schema import pending_conversations
from jobs.stores.sessions import LogRules, SessionStore
from jobs.stores.usage import UsageFilter, UsageStore
from jobs.stores.user_stats import UserStatsStore
from tests.fakes import PRICES

ANALYSIS = Analysis(topics=["假期"], sentiment="neutral", open_questions=[])


@pytest.fixture
def store(database: Database) -> ConversationStore:
    return ConversationStore(database, UsageStore(database, PRICES), LogRules(memorize_every=50))


def said(number: int = 0, user_id: str = "1", session_id: str = "s", tenant: str = "a") -> NewConversation:
    return NewConversation(
        tenant=tenant,
        user_id=user_id,
        session_id=session_id,
        topic=None,
        message=f"消息 {number}",
        response="好",
        cut_off=False,
        model="small",
        prompt_tokens=10,
        completion_tokens=number % 7,
        estimated=False,
        response_time=0.1,
    )


def log_all(store: ConversationStore) -> int:
    total = 0
    while logged := store.log("a").conversations:
        total += logged
    return total


def test_ten_thousand_conversations_are_logged_in_ten_transactions(
    store: ConversationStore, database: Database
) -> None:
    """With their statistics, sessions and usage; and the sums agree to the unit."""
    with database.write() as connection:
        new = (said(number, user_id=str(number % 7), session_id=str(number % 100)) for number in range(10_000))
        connection.execute(insert(pending_conversations), [waiting(each) for each in new])
    commits: list[object] = []
    event.listen(database.engine, "commit", commits.append)
    assert log_all(store) == 10_000
    assert len(commits) <= 10_000 / ROUND + 1  # the last one finds nothing
    stats = [UserStatsStore(database).get("a", str(user)) for user in range(7)]
    tokens = sum(10 + number % 7 for number in range(10_000))
    assert sum(each.total_conversations for each in stats) == 10_000
    assert sum(each.total_tokens for each in stats) == tokens
    used = UsageStore(database, PRICES).total("a", UsageFilter())
    assert (used.calls, used.prompt_tokens + used.completion_tokens) == (10_000, tokens)
    sessions = [each for user in range(7) for each in SessionStore(database).list("a", str(user), limit=200)]
    assert sum(each.exchanges for each in sessions) == 10_000


def test_eight_that_log_at_once_log_each_once(store: ConversationStore, database: Database) -> None:
    """Users, sessions and what is left to the memory too; nobody waits for another for ever."""
    for number in range(200):
        store.accept(said(number, user_id=str(number % 3), session_id=str(number % 3)))
    with ThreadPoolExecutor(8) as pool:
        logged = list(pool.map(lambda _: store.log("a"), range(8)))
    assert sum(each.conversations for each in logged) == 200
    assert [UserStatsStore(database).get("a", str(n)).total_conversations for n in range(3)] == [67, 67, 66]
    assert [SessionStore(database).list("a", str(n))[0].exchanges for n in range(3)] == [67, 67, 66]
    assert len({each for some in logged for each in some.memories}) == 3


def test_a_round_that_dies_half_way_has_not_happened(store: ConversationStore, database: Database) -> None:
    """Neither log nor figures; the next one does it all."""
    for number in range(50):
        store.accept(said(number))

    def die(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("DELETE FROM pending_conversations"):
            raise KeyboardInterrupt

    event.listen(database.engine, "before_cursor_execute", die)
    with pytest.raises(KeyboardInterrupt):
        store.log("a")
    event.remove(database.engine, "before_cursor_execute", die)
    assert store.history("a", "1") == []
    assert UserStatsStore(database).get("a", "1").total_conversations == 0
    assert MemoryStore(database).without_job(0) == []
    assert store.log("a").conversations == 50
    assert len(MemoryStore(database).without_job(0)) == 1


def test_a_session_id_of_two_users_is_two_sessions(store: ConversationStore, database: Database) -> None:
    """As when both began it at the same time."""
    store.accept(said(1, user_id="1"))
    store.accept(said(2, user_id="2"))
    log_all(store)
    sessions = SessionStore(database)
    assert [each.exchanges for user in ("1", "2") for each in sessions.list("a", user)] == [1, 1]


def test_a_claimed_session_is_analyzed_by_one(store: ConversationStore, database: Database) -> None:
    """Eight ask for all at once: each session is given to one of them."""
    sessions = SessionStore(database)
    for number in range(40):
        store.accept(said(number, session_id=str(number)))
    log_all(store)
    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(lambda job: sessions.claim("a", f"job-{job}", 40), range(8)))
    assert sorted(each.session_id for some in claimed for each in some) == sorted(map(str, range(40)))
    assert sessions.tenants_grown() == []


def test_an_analysis_is_of_the_session_as_it_was_claimed(store: ConversationStore, database: Database) -> None:
    """What was said meanwhile is analyzed next; an older analysis never takes a newer one's place."""
    sessions = SessionStore(database)
    store.accept(said(1))
    log_all(store)
    [before] = sessions.claim("a", "one", 10)
    store.accept(said(2))
    log_all(store)
    sessions.keep_analyses([(before, ANALYSIS, "small")])
    [after] = sessions.claim("a", "two", 10)
    assert (after.exchanges, after.analysis) == (2, ANALYSIS)
    sessions.keep_analyses([(after, ANALYSIS, "newer")])
    sessions.keep_analyses([(before, ANALYSIS, "older")])
    assert sessions.list("a", "1")[0].analysis_model == "newer"
    assert sessions.claim("a", "three", 10) == []


def test_eight_that_learn_the_same_keep_it_once(database: Database) -> None:
    """Of one conversation it counts once; of several each fact is there once."""
    store = MemoryStore(database)
    conversations = [PendingMemory(id=str(n % 4), tenant="a", user_id="1") for n in range(8)]
    for pending in conversations[:4]:
        store.accept(pending)
    with ThreadPoolExecutor(8) as pool:
        learned = list(
            pool.map(lambda one: store.learn(one, ["likes tea", "likes cake"], [], "small", 10), conversations)
        )
    assert sum(each.new for each in learned) == 2
    assert sum(each.confirmed for each in learned) == 6
    assert sorted(each.text for each in store.list("a", "1")) == ["likes cake", "likes tea"]


def test_times_of_any_zone_are_compared_as_moments(store: ConversationStore) -> None:
    """Also where the database keeps no zone; the ends of time are times, too."""
    store.accept(said())
    store.log("a")
    far = timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))
    for zone in far:
        now = datetime.now(zone)
        assert len(store.history("a", "1", since=now - timedelta(minutes=5), until=now + timedelta(minutes=5))) == 1
        assert store.history("a", "1", since=now + timedelta(minutes=5)) == []
        assert store.history("a", "1", until=now - timedelta(minutes=5)) == []
    first, last = datetime.min.replace(tzinfo=far[0]), datetime.max.replace(tzinfo=far[1])
    assert len(store.history("a", "1", since=first, until=last)) == 1
