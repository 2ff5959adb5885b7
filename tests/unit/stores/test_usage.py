"""The use of language models, on both databases."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import event, update

from jobs.domain.usage import Price, PriceTable, Usage
from jobs.stores.database import Database
from jobs.stores.schema import usage as table
from jobs.stores.usage import UsageFilter, UsageStore

ALL = UsageFilter()
PRICES = PriceTable({"small": Price(Decimal("0.15"), Decimal("0.6"))}, "USD")
TODAY = datetime.now(UTC).date()


@pytest.fixture
def store(database: Database) -> UsageStore:
    return UsageStore(database, PRICES)


def record(store: UsageStore, key: str, user_id: str | None = "1001", model: str = "small", tenant: str = "a") -> bool:
    return store.record(None, tenant, user_id, model, Usage(1000, 100), "chat", key)


def age(database: Database, key: str, days: int) -> date:
    day = TODAY - timedelta(days=days)
    with database.write() as connection:
        connection.execute(update(table).where(table.c.key == key).values(day=day))
    return day


def test_a_call_is_recorded_once_under_its_key_however_many_try(store: UsageStore) -> None:
    """Forty attempts of four calls, eight at a time: four are in, and the sums are theirs to the unit."""
    with ThreadPoolExecutor(8) as pool:
        new = list(pool.map(lambda n: record(store, f"chat/{n % 4}"), range(40)))
    total = store.total("a", ALL)
    assert new.count(True) == total.calls == 4
    assert (total.prompt_tokens, total.completion_tokens, total.estimated) == (4000, 400, 0)
    assert total.cost == 4 * PRICES.cost("small", Usage(1000, 100))  # type: ignore[operator]


def test_the_key_of_another_tenant_is_another_call(store: UsageStore) -> None:
    assert record(store, "k")
    assert record(store, "k", tenant="b")
    assert store.total("a", ALL).calls == store.total("b", ALL).calls == 1


def test_a_call_is_recorded_with_the_transaction_of_the_caller(store: UsageStore, database: Database) -> None:
    """What is rolled back was not recorded, and may be recorded again."""

    def broken_off() -> None:
        with database.write() as connection:
            assert store.record(connection, "a", "1001", "small", Usage(1, 1), "chat", "k")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken_off()
    assert store.total("a", ALL).calls == 0
    assert record(store, "k")


def test_the_cost_of_a_model_without_a_price_is_unknown_and_not_nothing(store: UsageStore) -> None:
    record(store, "1", model="unheard-of")
    assert (store.total("a", ALL).cost, store.total("a", ALL).unpriced) == (None, 1)
    record(store, "2")
    total = store.total("a", ALL)
    assert (total.cost, total.unpriced) == (PRICES.cost("small", Usage(1000, 100)), 1)


def test_what_cost_another_currency_is_not_added(store: UsageStore, database: Database) -> None:
    record(store, "1")
    other = UsageStore(database, PriceTable({}, "CNY"))
    assert (other.total("a", ALL).cost, other.total("a", ALL).unpriced) == (None, 1)


def test_estimates_are_counted_as_such(store: UsageStore) -> None:
    store.record(None, "a", "1001", "small", Usage(5, 5, estimated=True), "chat", "1")
    record(store, "2")
    assert store.total("a", ALL).estimated == 1


def test_sums_of_no_calls_are_nothing_and_cost_is_unknown(store: UsageStore) -> None:
    total = store.total("a", ALL)
    assert (total.calls, total.prompt_tokens, total.cost, total.unpriced) == (0, 0, None, 0)
    assert store.totals("a", "day", ALL) == []


def test_days_come_newest_first_and_in_pages_that_add_up(store: UsageStore, database: Database) -> None:
    for key in "1234":
        record(store, key)
    days = [TODAY, age(database, "2", 1), age(database, "3", 1), age(database, "4", 400)]
    first = store.totals("a", "day", ALL, limit=2)
    rest = store.totals("a", "day", ALL, after=first[-1].group, limit=2)
    assert [(each.group, each.calls) for each in first + rest] == [(days[0], 1), (days[1], 2), (days[3], 1)]
    of_yesterday = UsageFilter(since=days[1], until=days[1])
    assert store.total("a", of_yesterday).calls == 2


def test_users_and_models_are_summed_apart_and_may_be_picked(store: UsageStore) -> None:
    """Calls of no user are a group of their own; names may be Chinese."""
    record(store, "1", user_id=None)
    record(store, "2", user_id="王伟", model="通义")
    record(store, "3", user_id="王伟")
    users = {each.group: each.calls for each in store.totals("a", "user", ALL)}
    models = {each.group: each.calls for each in store.totals("a", "model", UsageFilter(user_id="王伟"))}
    assert users == {"": 1, "王伟": 2}
    assert models == {"small": 1, "通义": 1}
    assert store.total("a", UsageFilter(source="agents")).calls == 0


def test_a_model_may_call_itself_anything(store: UsageStore) -> None:
    """What an endpoint says is cut to what a database holds."""
    assert record(store, "1", model="m\0" * 500)
    assert store.totals("a", "model", ALL)[0].group == "m" * 200


def every_sum(store: UsageStore) -> list[object]:
    """Return what a client can see of the sums, in every grouping and of every part."""
    some = [ALL, UsageFilter(user_id="1001"), UsageFilter(source="chat"), UsageFilter(model="small", until=TODAY)]
    return [
        (store.total("a", which), [store.totals("a", by, which) for by in ("day", "user", "model")]) for which in some
    ]


def roll_up(store: UsageStore) -> int:
    total = 0
    while rolled := store.roll_up(TODAY):
        total += rolled
    return total


def test_rolled_up_days_sum_to_the_unit_what_their_calls_do(store: UsageStore, database: Database) -> None:
    """Nothing changes in any answer: not by the roll-up, not by a second one, not when the calls are gone."""
    for number, days in enumerate((0, 1, 1, 2, 2, 2)):
        record(store, str(number), user_id=("1001", "王伟", None)[number % 3], model=("small", "free-form")[number % 2])
        age(database, str(number), days)
    before = every_sum(store)
    assert roll_up(store) == 5  # today is not over
    assert every_sum(store) == before
    record(store, "late", user_id="1001")
    age(database, "late", 2)
    late = every_sum(store)
    assert (roll_up(store), roll_up(store)) == (1, 0)
    assert every_sum(store) == late
    assert store.forget_calls(TODAY) == 6
    assert every_sum(store) == late


def test_eight_roll_ups_at_once_count_each_call_once(store: UsageStore, database: Database) -> None:
    for number in range(40):
        record(store, str(number))
    with database.write() as connection:
        connection.execute(update(table).values(day=TODAY - timedelta(days=1)))
    before = every_sum(store)
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: store.roll_up(TODAY), range(8))) == 40
    assert every_sum(store) == before


def test_a_roll_up_that_dies_half_way_has_not_happened(store: UsageStore, database: Database) -> None:
    """The calls are marked and added in one transaction."""
    record(store, "1")
    age(database, "1", 1)
    before = every_sum(store)

    def die(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO usage_days"):
            raise KeyboardInterrupt

    event.listen(database.engine, "before_cursor_execute", die)
    with pytest.raises(KeyboardInterrupt):
        store.roll_up(TODAY)
    event.remove(database.engine, "before_cursor_execute", die)
    assert every_sum(store) == before
    assert (store.roll_up(TODAY), every_sum(store)) == (1, before)


def test_a_cost_in_another_currency_stays_out_of_the_sums_of_days_too(store: UsageStore, database: Database) -> None:
    """It counts as unpriced, before and after; back in that currency it is there."""
    euros = UsageStore(database, PriceTable({"small": Price(Decimal(1), Decimal(1))}, "EUR"))
    record(euros, "1")
    record(store, "2")
    with database.write() as connection:
        connection.execute(update(table).values(day=TODAY - timedelta(days=1)))
    before = [store.total("a", ALL), euros.total("a", ALL)]
    assert [total.unpriced for total in before] == [1, 1]
    assert roll_up(store) == 2
    assert [store.total("a", ALL), euros.total("a", ALL)] == before


def test_a_user_is_taken_out_and_the_sums_stay(store: UsageStore, database: Database) -> None:
    """Of calls and of days, of this tenant only; done again it changes nothing."""
    for number, user_id in enumerate(("1001", None, "1001", "2")):
        record(store, str(number), user_id=user_id)
    age(database, "0", 1)
    age(database, "1", 1)
    record(store, "0", tenant="b")
    roll_up(store)
    before = store.total("a", ALL)
    for _ in range(2):
        store.anonymize("a", "1001")
        assert {each.group: each.calls for each in store.totals("a", "user", ALL)} == {"": 3, "2": 1}
    assert store.total("a", ALL) == before
    assert store.total("b", UsageFilter(user_id="1001")).calls == 1


def test_what_a_user_has_used_is_told_by_day_and_model(store: UsageStore, database: Database) -> None:
    """The same before and after the roll-up, in whole numbers."""
    for number in range(3):
        record(store, str(number), model="small" if number else "free-form")
    record(store, "other", user_id="2")
    age(database, "1", 1)
    before = store.of_user("a", "1001")
    assert [(row["model"], int(row["calls"]), int(row["prompt_tokens"])) for row in before] == [
        ("small", 1, 1000),
        ("free-form", 1, 1000),
        ("small", 1, 1000),
    ]
    roll_up(store)
    assert store.of_user("a", "1001") == before
