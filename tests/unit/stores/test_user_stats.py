"""What is left of users' days, on both databases: kept whatever runs at once, and given back whatever dies."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from jobs.domain.daily_limits import DailyLimits, LimitReached, LimitUnderWay
from jobs.stores.conversations import ConversationStore
from jobs.stores.database import Database
from jobs.stores.schema import reservations
from jobs.stores.usage import UsageStore
from jobs.stores.user_stats import Reservation, UserStatsStore, settle
from tests.fakes import PRICES
from tests.unit.stores.test_conversations import said

TEN = DailyLimits(conversations=10)
HUNDRED_TOKENS = DailyLimits(tokens=100)


@pytest.fixture
def store(database: Database) -> UserStatsStore:
    return UserStatsStore(database)


def reserve(store: UserStatsStore, limits: DailyLimits = TEN, *, most: int = 40, seconds: float = 60) -> Reservation:
    return store.reserve("a", "1", limits, least=8, most=most, seconds=seconds)


def settled(database: Database, reservation: Reservation, tokens: int = 8) -> None:
    with database.write() as connection:
        settle(connection, reservation, tokens)


def test_of_fifty_calls_at_once_as_many_as_the_limit_are_let_in(store: UserStatsStore) -> None:
    """The others may come again soon: nothing is used up yet."""

    def call(_: int) -> bool:
        try:
            return bool(reserve(store))
        except LimitUnderWay:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(call, range(50))) == 10


def test_calls_that_end_while_others_begin_never_use_more_than_the_limit(
    store: UserStatsStore, database: Database
) -> None:
    """Each uses all that it was granted; some fail. What is left at the end is less than the least call."""

    def call(number: int) -> int:
        try:
            taken = reserve(store, HUNDRED_TOKENS, most=12)
        except (LimitReached, LimitUnderWay):
            return 0
        if number % 5 == 0:
            store.give_back(taken)
            return 0
        settled(database, taken, taken.tokens)
        return taken.tokens

    with ThreadPoolExecutor(8) as pool:
        used = sum(pool.map(call, range(60)))
    assert 100 - 8 < used <= 100
    with pytest.raises(LimitReached, match="100"):
        reserve(store, HUNDRED_TOKENS)


def test_what_an_answer_did_not_use_is_free_as_soon_as_it_is_accepted(
    store: UserStatsStore, database: Database
) -> None:
    """Before it is logged; logging takes nothing off again."""
    conversations = ConversationStore(database, UsageStore(database, PRICES))
    limits = DailyLimits(tokens=130)
    for _ in range(8):
        conversations.accept(said(), reserve(store, limits, most=100))  # each uses ten
    assert conversations.log("a").conversations == 8
    assert reserve(store, limits, most=100).tokens == 50


def test_a_call_under_way_and_a_day_used_up_are_told_apart(store: UserStatsStore, database: Database) -> None:
    """One is over in a moment, the other at midnight."""
    taken = reserve(store, HUNDRED_TOKENS, most=100)
    with pytest.raises(LimitUnderWay) as busy:
        reserve(store, HUNDRED_TOKENS)
    settled(database, taken, 95)
    with pytest.raises(LimitReached, match="5 of the user's 100 tokens") as over:
        reserve(store, HUNDRED_TOKENS)
    assert busy.value.retry_after < 10 < over.value.retry_after


def test_what_a_killed_process_had_taken_comes_back(store: UserStatsStore, database: Database) -> None:
    """When its calls must have ended; a call that ends later all the same is counted."""
    late = [reserve(store, seconds=-1) for _ in range(10)]
    for _ in range(9):
        settled(database, reserve(store))
    settled(database, late[0])
    with pytest.raises(LimitReached):
        reserve(store)
    store.purge()
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(reservations)).scalar() == 0


def test_a_call_counts_on_the_day_on_which_it_began(store: UserStatsStore, database: Database) -> None:
    """What is settled, given back or under way since yesterday changes nothing of today."""
    yesterday = replace(reserve(store), day="2000-01-01")
    settled(database, yesterday, 90)  # on a day before today's first call
    for _ in range(9):
        settled(database, reserve(store))
    settled(database, yesterday, 90)
    store.give_back(yesterday)
    settled(database, reserve(store, replace(TEN, tokens=100)))
    with pytest.raises(LimitReached, match="10 conversations"):
        reserve(store)


def test_users_and_tenants_have_days_of_their_own(store: UserStatsStore) -> None:
    for _ in range(10):
        reserve(store)
    for tenant, user_id in (("a", "2"), ("b", "1")):
        assert store.reserve(tenant, user_id, TEN, least=1, most=2, seconds=60).tokens == 2
