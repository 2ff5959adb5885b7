"""What the search promises, on SQLite and on PostgreSQL alike."""

import threading
from datetime import UTC, datetime

import numpy as np
import pytest
from sqlalchemy import func, select, text, update

from jobs.stores.database import Database
from jobs.stores.schema import documents, passages, vectors
from jobs.stores.search import Hit, SearchIndex
from jobs.stores.search.vectors import VectorIndex
from tests.library import WordEncoder, add_document, delete_document, embed_all

BRIDGE = "The bridge over the river Wye was built in 1822. It is made of iron."
BAKER = "The baker opens at seven. Rye bread is sold out by nine."
TEA = "望江茶馆每天早上六点开门，晚上九点半关门。茶馆的招牌是雨前毛峰。"


@pytest.fixture
def index(database: Database) -> SearchIndex:
    return SearchIndex(database, WordEncoder())


def found(hits: list[Hit]) -> list[int]:
    return [hit.document_id for hit in hits]


def rows(database: Database, table: str) -> int:
    with database.read() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


@pytest.mark.parametrize(
    ("question", "place"),
    [("When was the BRIDGE built?", 0), ("who sells rye bread", 1), ("茶馆几点关门？", 2), ("雨前毛峰", 2), ("茶", 2)],
)
def test_words_find_a_passage_before_it_has_a_vector(
    database: Database, index: SearchIndex, question: str, place: int
) -> None:
    """English and Chinese alike; no vector is needed, and none is claimed."""
    ids = [add_document(database, index, body) for body in (BRIDGE, BAKER, TEA)]
    hits = index.search("ada", question)
    assert found(hits)[0] == ids[place]
    assert hits[0].similarity is None


def test_a_hit_says_where_its_text_stands(database: Database, index: SearchIndex) -> None:
    """Page and offset lead back to exactly the passage's text."""
    pages = ["Nothing here.", "  \n\n" + " ".join(f"Sentence number {n} is about the sea." for n in range(60))]
    add_document(database, index, pages, name="sea.txt")
    hits = index.search("ada", "sea", limit=50)
    assert len(hits) > 1
    assert {hit.document_name for hit in hits} == {"sea.txt"}
    assert all(pages[hit.page - 1][hit.start :].startswith(hit.text) for hit in hits)


def test_a_passage_has_neighbours(database: Database, index: SearchIndex) -> None:
    """Those before and after it, for its tenant alone."""
    pages = [f"A sentence about the {word}." for word in ("sea", "hill", "wood")]
    add_document(database, index, pages)
    (hit,) = index.search("ada", "hill")
    assert [near.page for near in index.neighbours("ada", [hit])] == [1, 3]
    assert index.neighbours("bob", [hit]) == []


@pytest.mark.parametrize("other", ["bob", "Ada", "ad"])
def test_a_tenant_finds_only_its_own(database: Database, index: SearchIndex, other: str) -> None:
    """Not by words, not by vectors, and not by naming the document."""
    document = add_document(database, index, BRIDGE, tenant="ada")
    embed_all(index)
    assert index.search("ada", "bridge")
    assert index.search(other, "bridge") == []
    assert index.search(other, "bridge", document_id=document) == []
    delete_document(database, index, document, other)
    assert index.search("ada", "bridge")
    assert index.embed_pending(other) == index.pending(other) == 0


def test_a_search_can_be_kept_to_one_document(database: Database, index: SearchIndex) -> None:
    """Passages of others between its own do not show."""
    ids = [add_document(database, index, f"Bridge number {n}. {BRIDGE}") for n in range(5)]
    for step in range(2):
        assert set(found(index.search("ada", "bridge", document_id=ids[2]))) == {ids[2]}, step
        assert index.search("ada", "bridge", document_id=ids[-1] + 1) == []
        embed_all(index)


HOSTILE = [
    *["", " ", "?!。", "\0", "\ud800", "'", '"', "\\", "-x", ":1", "的", "𠀀🙂", "İ"],
    *['" OR 1=1 --', "a' | !b & (c)", "NEAR(a b) AND NOT *", "terms:x", "%s %(x)s"],
    *["a" * 10_000, "茶" * 10_000, "bridge " * 2_000, " ".join(map(str, range(3_000)))],
]


@pytest.mark.parametrize("question", HOSTILE)
def test_any_text_is_a_valid_question(database: Database, index: SearchIndex, question: str) -> None:
    """Operators, quotes, control characters, half characters and ten thousand of them are words, or nothing."""
    add_document(database, index, [BRIDGE, TEA])
    embed_all(index)
    assert isinstance(index.search("ada", question), list)


def test_vectors_find_what_words_do_not(database: Database) -> None:
    """A passage without a word of the question is found by its meaning, with its similarity."""
    index = SearchIndex(database, WordEncoder(synonyms={"automobile": "car", "doctor": "physician"}))
    ids = [add_document(database, index, body) for body in (BRIDGE, "An automobile.", BAKER)]
    assert index.search("ada", "car") == []
    embed_all(index)
    hits = index.search("ada", "car")
    assert found(hits)[0] == ids[1]
    assert hits[0].similarity == pytest.approx(1 / 2**0.5, abs=0.2)


def test_without_a_question_vector_the_search_goes_by_words(database: Database) -> None:
    """An embedder that is down does not take the search with it."""
    encoder = WordEncoder()
    index = SearchIndex(database, encoder)
    document = add_document(database, index, BRIDGE)
    embed_all(index)
    encoder.offline = True
    assert found(index.search("ada", "bridge")) == [document]


def test_embedding_goes_on_in_batches_where_it_stopped(database: Database, index: SearchIndex) -> None:
    """The return value is what is left; once it is 0, nothing is done again."""
    document = add_document(database, index, [f"Page {n} tells of bridges." for n in range(5)])
    assert [index.embed_pending("ada", document, batch=2) for _ in range(4)] == [3, 1, 0, 0]
    assert rows(database, "vectors") == 5


def test_another_process_sees_what_is_added_and_deleted(database: Database, index: SearchIndex) -> None:
    """An index that has searched before picks up new vectors, and lets go of deleted ones."""
    reader = SearchIndex(database, WordEncoder(synonyms={"crossing": "bridge"}))
    first = add_document(database, index, [BRIDGE] * 3)
    embed_all(index)
    assert set(found(reader.search("ada", "crossing"))) == {first}
    second = add_document(database, index, BRIDGE)
    embed_all(index)
    assert set(found(reader.search("ada", "crossing"))) == {first, second}
    delete_document(database, index, first)
    assert set(found(reader.search("ada", "crossing"))) == {second}
    assert set(found(reader.search("ada", "bridge"))) == {second}


def test_a_deleted_crowd_does_not_hide_the_rest(database: Database) -> None:
    """More deleted vectors than a search compares exactly, all nearer than the one that is left."""
    index = SearchIndex(database, WordEncoder(synonyms={"crossing": "bridge"}))
    crowd = add_document(database, index, ["Bridge bridge."] * 300)
    survivor = add_document(database, index, BRIDGE)
    embed_all(index)
    assert set(found(index.search("ada", "crossing"))) == {crowd}
    delete_document(database, index, crowd)
    assert found(index.search("ada", "crossing")) == [survivor]


@pytest.mark.parametrize("embedded", [False, True])
def test_a_hidden_crowd_is_not_found_and_does_not_hide_the_rest(database: Database, embedded: bool) -> None:
    """While it is purged, its passages are still in both halves of the index."""
    index = SearchIndex(database, WordEncoder())
    crowd = add_document(database, index, ["Bridge bridge."] * 300)
    survivor = add_document(database, index, BRIDGE)
    if embedded:
        embed_all(index)
    with database.write() as connection:
        hide = update(documents).where(documents.c.id == crowd).values(deleted_at=datetime.now(UTC))
        connection.execute(hide)
    assert set(found(index.search("ada", "bridge"))) == {survivor}
    assert index.search("ada", "bridge", document_id=crowd) == []
    assert index.pending("ada") == (0 if embedded else 1)


def test_deleting_leaves_nothing(database: Database, index: SearchIndex) -> None:
    """Text, tokens and vectors go; other documents keep theirs."""
    gone, kept = add_document(database, index, BRIDGE), add_document(database, index, BAKER)
    embed_all(index)
    delete_document(database, index, gone)
    assert rows(database, "passages") == rows(database, "vectors") == rows(database, "passage_terms") == 1
    assert index.search("ada", "iron wye") == [] or found(index.search("ada", "iron wye")) == [kept]


def test_a_document_read_again_has_its_new_passages_only(database: Database, index: SearchIndex) -> None:
    """Delete and add in one transaction, as a second attempt at processing does."""
    document = add_document(database, index, BRIDGE)
    embed_all(index)
    assert index.search("ada", "bridge")
    replacement = add_document(database, index, BAKER)
    delete_document(database, index, document)
    embed_all(index)
    assert set(found(index.search("ada", "bread"))) == {replacement}


@pytest.mark.parametrize(("model", "dimension"), [("other", 100), ("words", 40)])
def test_vectors_of_another_model_or_size_are_pending_again(database: Database, model: str, dimension: int) -> None:
    """They are never compared with the present ones, and are replaced by the next embedding."""
    document = add_document(database, SearchIndex(database, WordEncoder()), BRIDGE)
    embed_all(SearchIndex(database, WordEncoder()))
    index = SearchIndex(database, WordEncoder(model, dimension))
    assert index.pending("ada", document) == 1
    assert [hit.similarity for hit in index.search("ada", "bridge")] == [None]
    embed_all(index)
    assert index.pending("ada") == 0
    assert rows(database, "vectors") == 1
    assert index.search("ada", "bridge")[0].similarity is not None


def test_workers_that_embed_the_same_passages_make_each_vector_once(database: Database, index: SearchIndex) -> None:
    """Two workers that read the same batch do not clash."""
    add_document(database, index, [f"Page {n}." + BRIDGE for n in range(20)])
    barrier = threading.Barrier(2, timeout=10)
    failures: list[BaseException] = []

    def work() -> None:
        encoder = WordEncoder()
        encoder.before_encode = barrier.wait
        try:
            SearchIndex(database, encoder).embed_pending("ada", batch=50)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with database.read() as connection:
        counts = connection.execute(select(func.count(), func.count(vectors.c.passage_id.distinct()))).one()
    assert tuple(counts) == (20, 20)


def test_a_document_deleted_while_it_is_embedded_stays_deleted(database: Database) -> None:
    """The vectors that come too late are dropped, without an error."""
    encoder = WordEncoder()
    index = SearchIndex(database, encoder)
    document = add_document(database, index, BRIDGE)

    def delete_meanwhile() -> None:
        delete_document(database, index, document)

    encoder.before_encode = delete_meanwhile
    assert index.embed_pending("ada", document) == 0
    assert rows(database, "vectors") == 0


def test_vector_ids_rise_in_the_order_of_commits(database: Database, index: SearchIndex) -> None:
    """Else a reader that has seen the later one would never read the earlier one, which commits after it."""
    add_document(database, index, ["Page one.", "Page two."])
    with database.read() as connection:
        keys = [tuple(row) for row in connection.execute(select(passages.c.id, passages.c.document_id))]
    store = VectorIndex(database)
    ones = np.ones((1, 100), dtype=np.float32)
    entered, order = threading.Event(), list[int]()

    def write_second() -> None:
        entered.wait(10)
        with database.write() as connection:
            store.store(connection, "ada", "words", [keys[1]], ones)
        order.append(2)

    thread = threading.Thread(target=write_second)
    thread.start()
    with database.write() as connection:
        store.store(connection, "ada", "words", [keys[0]], ones)
        entered.set()
        thread.join(0.2)  # it must not get through before this transaction ends
        assert thread.is_alive()
        order.append(1)
    thread.join(10)
    with database.read() as connection:
        stored = connection.execute(select(vectors.c.passage_id).order_by(vectors.c.id)).scalars().all()
    assert order == [1, 2]
    assert list(stored) == [keys[0][0], keys[1][0]]


def test_the_memory_of_a_process_is_bounded(database: Database, index: SearchIndex) -> None:
    """Only the tenants searched last are kept; the others are read again and found all the same."""
    small = VectorIndex(database, memory_bytes=1)
    query = WordEncoder().encode(["bridge"])[0]
    for tenant in ("ada", "bob", "eve"):
        add_document(database, index, BRIDGE, tenant=tenant)
        embed_all(index, tenant)
    for tenant in ("ada", "bob", "eve", "ada"):
        assert len(small.search(tenant, "words", query, None, limit=5)) == 1
        assert len(small._known) == 1
