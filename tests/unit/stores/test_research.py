"""Research as it is kept: whole, packed, found again in both languages, and gone in time."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from jobs.domain.research import Content, Note, Source
from jobs.stores.database import Database
from jobs.stores.research import ResearchNotFound, ResearchStore
from jobs.stores.schema import research as table
from jobs.stores.user_data import UserDataStore
from jobs.stores.work import WorkStore
from jobs.stores.work_rows import NewWork

CONTENT = Content(
    report="# 睡眠\n\n" + "Sleep helps [1]. " * 500,
    sources=[Source(title="睡眠手册.pdf", document_id=1, page=3)],
    notes=[Note(code="web_failed", text="The web search failed.")],
    messages=["planning", "searching"],
)


@pytest.fixture
def store(database: Database) -> ResearchStore:
    return ResearchStore(database)


def add(store: ResearchStore, *queries: str, tenant: str = "acme") -> None:
    for query in queries:
        store.add(tenant, f"id of {query}", query, "small")


def test_what_was_found_comes_back_whole_and_is_kept_packed(store: ResearchStore, database: Database) -> None:
    """Report, sources, notes and messages, in a fraction of their size."""
    add(store, "a")
    assert store.end("acme", "id of a", "completed", CONTENT, title="睡眠", tokens=70)
    found = store.get("acme", "id of a")
    assert (found.status, found.title, found.tokens, found.content) == ("completed", "睡眠", 70, CONTENT)
    assert found.ended_at is not None
    with database.read() as connection:
        packed = connection.execute(select(table.c.content)).scalar_one()
    assert len(packed) < len(CONTENT.report) / 10


def test_asked_for_twice_is_kept_once_and_a_completed_one_is_not_undone(store: ResearchStore) -> None:
    """A job that runs once more, or a hook that comes late, changes nothing; one that failed may complete later."""
    add(store, "a", "a")
    assert len(store.list("acme")) == 1
    assert store.end("acme", "id of a", "failed", Content(report="half"), title="", tokens=1)
    assert store.end("acme", "id of a", "completed", CONTENT, title="x", tokens=2)
    assert not store.end("acme", "id of a", "canceled", Content(report=""), title="", tokens=0)
    assert store.get("acme", "id of a").status == "completed"


def test_it_has_its_title_as_soon_as_that_is_planned(store: ResearchStore) -> None:
    """In its tenant only."""
    add(store, "a")
    store.entitle("other", "id of a", "theirs")
    assert store.get("acme", "id of a").title == ""
    store.entitle("acme", "id of a", "睡眠")
    assert store.get("acme", "id of a").title == "睡眠"


def test_lists_come_in_pages_without_contents(store: ResearchStore) -> None:
    """Newest first."""
    add(store, *"abcde")
    first = store.list("acme", limit=2)
    second = store.list("acme", limit=2, before=first[-1].number)
    assert [each.query for each in (*first, *second)] == ["e", "d", "c", "b"]
    assert {each.content for each in first} == {None}


@pytest.mark.parametrize(("text", "found"), [("记忆", ["睡眠与记忆"]), ("SLEEP", ["Sleep apnoea", "other"]), ("%", [])])
def test_queries_and_titles_are_searched_in_both_languages(store: ResearchStore, text: str, found: list[str]) -> None:
    """By any part of them, whatever its case; signs of the query language are text."""
    add(store, "睡眠与记忆", "other", "Sleep apnoea")
    store.end("acme", "id of other", "completed", CONTENT, title="On sleep", tokens=0)
    assert [each.query for each in store.list("acme", text=text)] == found


def test_another_tenant_sees_ends_and_deletes_nothing(store: ResearchStore) -> None:
    """The id alone gives nobody access."""
    add(store, "a")
    with pytest.raises(ResearchNotFound):
        store.get("other", "id of a")
    assert not store.end("other", "id of a", "failed", CONTENT, title="", tokens=0)
    store.delete("other", "id of a")
    assert store.list("other") == []
    store.delete("acme", "id of a")
    with pytest.raises(ResearchNotFound):
        store.get("acme", "id of a")


def test_a_users_research_is_found_and_forgotten(store: ResearchStore, database: Database) -> None:
    """With its reports; that of others stays."""
    for n, user in enumerate(("ada", "bob", "ada", None)):
        store.add("acme", str(n), f"query {n}", "small", user)
    store.end("acme", "2", "completed", CONTENT, title="x", tokens=0)
    first = store.of_user("acme", "ada", limit=1)
    assert [(each.id, each.content) for each in first] == [("2", CONTENT)]
    assert [each.id for each in store.of_user("acme", "ada", before=first[0].number)] == ["0"]
    data = UserDataStore(database)
    assert (data.drop_some("research", "acme", "ada"), data.drop_some("research", "acme", "ada")) == (2, 0)
    assert [each.id for each in store.list("acme")] == ["3", "1"]
    assert not store.end("acme", "0", "completed", CONTENT, title="late", tokens=0)


def test_what_is_old_goes_and_what_is_under_way_stays(store: ResearchStore, database: Database) -> None:
    """Also what was begun long ago and lost; not what waits, paused, for longer than that."""
    add(store, "new", "old", "lost", "paused")
    for name in ("new", "old"):
        store.end("acme", f"id of {name}", "completed", CONTENT, title=name, tokens=0)
    WorkStore(database).accept(NewWork(id="id of paused", tenant="acme", type="research.run", content="{}", keep=10))
    now = datetime.now(UTC)
    with database.write() as connection:
        connection.execute(update(table).values(created_at=now - timedelta(days=30)))
        connection.execute(update(table).where(table.c.query == "old").values(ended_at=now - timedelta(days=8)))
    assert store.purge(now - timedelta(days=7)) == 2
    assert [each.query for each in store.list("acme")] == ["paused", "new"]
