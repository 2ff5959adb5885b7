"""The store of canvases, on both databases."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest

from jobs.domain.canvas.errors import (
    CanvasNotFound,
    CanvasTooLarge,
    NodeExists,
    PreconditionFailed,
    TooManyCanvases,
    VersionNotFound,
)
from jobs.domain.canvas.file import CanvasFile, Edit, write_canvas
from jobs.stores.canvas_rows import KEPT_VERSIONS, etag_of
from jobs.stores.canvases import CanvasStore
from jobs.stores.database import Database

MAX_BYTES = 100_000


@pytest.fixture
def store(database: Database) -> CanvasStore:
    return CanvasStore(database, limit=3, max_bytes=MAX_BYTES)


def node(node_id: str, text: str = "极限") -> dict[str, Any]:
    return {"id": node_id, "type": "text", "text": text, "x": 0, "y": 0, "width": 1, "height": 1}


def file(*nodes: str) -> CanvasFile:
    return CanvasFile(write_canvas([node(each) for each in nodes], []))


def adding(node_id: str) -> Callable[[CanvasFile], Edit]:
    return lambda canvas: canvas.add("nodes", node(node_id))


def ids(store: CanvasStore, name: str = "数学", version: int | None = None) -> list[str]:
    return [each["id"] for each in json.loads(store.get("a", name, version).content)["nodes"]]


def test_a_canvas_is_kept_as_it_was_given(store: CanvasStore) -> None:
    """Its bytes, and what is known of it."""
    written = store.put("a", "数学", file("1", "2"))
    canvas = store.get("a", "数学")
    assert canvas.content.decode() == file("1", "2").text
    assert (canvas.version, canvas.etag) == (written.version, written.etag) == (1, etag_of(canvas.content))
    assert (canvas.nodes, canvas.edges, canvas.size, canvas.deleted_at) == (2, 0, len(canvas.content), None)
    assert canvas.updated_at.tzinfo is not None
    assert written.created
    assert not store.put("a", "数学", file("1")).created


def test_equal_content_makes_no_new_version(store: CanvasStore) -> None:
    assert store.put("a", "数学", file("1")).version == store.put("a", "数学", file("1")).version == 1
    assert store.change("a", "数学", adding("1")).version == 1
    assert len(store.versions("a", "数学")) == 1


def test_fifty_writers_at_once_lose_no_node(store: CanvasStore) -> None:
    """Each change reads what the one before it has written."""
    store.put("a", "数学", file())
    with ThreadPoolExecutor(50) as pool:
        versions = [each.version for each in pool.map(lambda n: store.change("a", "数学", adding(str(n))), range(50))]
    assert sorted(ids(store), key=int) == [str(n) for n in range(50)]
    assert sorted(versions) == list(range(2, 52))


def test_of_many_who_create_a_canvas_one_does(store: CanvasStore) -> None:
    """With a condition that there is none, the others are refused; without, the last one stays."""

    def create(n: int) -> bool:
        try:
            return store.put("a", "数学", file(str(n)), lambda etag: etag is None).created
        except PreconditionFailed:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(create, range(8))).count(True) == 1
        assert not any(each.created for each in pool.map(lambda n: store.put("a", "数学", file(str(n))), range(8)))


def test_of_many_who_saw_the_same_version_one_may_write(store: CanvasStore) -> None:
    seen = store.put("a", "数学", file()).etag

    def change(n: int) -> bool:
        try:
            return bool(store.change("a", "数学", adding(str(n)), lambda etag: etag == seen))
        except PreconditionFailed:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(change, range(8))).count(True) == 1
    assert len(ids(store)) == 1


def test_a_change_that_fails_leaves_all_as_it_was(store: CanvasStore) -> None:
    store.put("a", "数学", file("1"))
    with pytest.raises(NodeExists):
        store.change("a", "数学", lambda canvas: canvas.add("nodes", node("1", "another")))
    with pytest.raises(PreconditionFailed):
        store.delete("a", "数学", lambda etag: False)
    with pytest.raises(PreconditionFailed):
        store.put("a", "new", file(), lambda etag: etag is not None)
    with pytest.raises(CanvasTooLarge):
        store.change("a", "数学", lambda canvas: canvas.add("nodes", node("2", "x" * MAX_BYTES)))
    assert [canvas.version for canvas in store.list("a")] == [1]


def test_the_last_versions_are_kept_and_any_of_them_comes_back(store: CanvasStore) -> None:
    """To go back is a new version, so that it can be undone as well."""
    store.put("a", "数学", file("0"))
    for number in range(1, KEPT_VERSIONS + 5):
        store.put("a", "数学", file(str(number)))
    newest = KEPT_VERSIONS + 5
    assert [each.version for each in store.versions("a", "数学", limit=100)] == list(range(newest, 5, -1))
    assert ids(store, version=6) == ["5"]
    assert store.restore("a", "数学", 6).version == newest + 1
    assert ids(store) == ["5"]
    assert store.restore("a", "数学", newest + 1).version == newest + 1
    for gone in (5, 0, newest + 2):
        with pytest.raises(VersionNotFound):
            store.restore("a", "数学", gone)
        with pytest.raises(VersionNotFound):
            store.get("a", "数学", gone)


def test_versions_come_in_pages(store: CanvasStore) -> None:
    for number in range(5):
        store.put("a", "数学", file(str(number)))
    first = store.versions("a", "数学", limit=2)
    rest = store.versions("a", "数学", before=first[-1].version, limit=5)
    assert [each.version for each in [*first, *rest]] == [5, 4, 3, 2, 1]
    assert store.versions("a", "数学", before=1) == []


def test_a_deleted_canvas_is_not_there_and_comes_back(store: CanvasStore) -> None:
    """With its versions; or by a new one of its name, whose versions go on from there."""
    store.put("a", "数学", file("1"))
    store.delete("a", "数学")
    for look in (store.get, store.delete):
        with pytest.raises(CanvasNotFound):
            look("a", "数学")
    with pytest.raises(CanvasNotFound):
        store.change("a", "数学", adding("2"))
    assert store.list("a") == []
    assert [each.name for each in store.list("a", deleted=True)] == ["数学"]
    assert store.restore("a", "数学", 1).created
    assert (ids(store), store.get("a", "数学").version) == (["1"], 2)
    store.delete("a", "数学")
    assert store.put("a", "数学", file("9"), lambda etag: etag is None).version == 3
    assert len(store.versions("a", "数学")) == 3


def test_a_tenant_has_so_many_and_deleted_ones_make_room(store: CanvasStore) -> None:
    """The one that was deleted first is forgotten for a new one."""
    for name in ("one", "two", "three"):
        store.put("a", name, file())
    with pytest.raises(TooManyCanvases):
        store.put("a", "four", file())
    store.put("b", "four", file())
    store.delete("a", "two")
    store.delete("a", "one")
    store.put("a", "four", file())
    assert [each.name for each in store.list("a")] == ["four", "three"]
    assert [each.name for each in store.list("a", deleted=True)] == ["one"]
    with pytest.raises(CanvasNotFound):
        store.versions("a", "two")


def test_canvases_come_in_pages_newest_first(store: CanvasStore) -> None:
    for name in ("one", "two", "three"):
        store.put("a", name, file())
    first = store.list("a", limit=2)
    rest = store.list("a", before=first[-1].number)
    assert [each.name for each in [*first, *rest]] == ["three", "two", "one"]


def test_nothing_of_another_tenant_is_seen_or_changed(store: CanvasStore) -> None:
    store.put("a", "数学", file("1"))
    for act in (
        lambda: store.get("b", "数学"),
        lambda: store.get("b", "数学", 1),
        lambda: store.versions("b", "数学"),
        lambda: store.change("b", "数学", adding("2")),
        lambda: store.restore("b", "数学", 1),
        lambda: store.delete("b", "数学"),
    ):
        with pytest.raises(CanvasNotFound):
            act()
    assert store.put("b", "数学", file("2")).version == 1
    assert ids(store) == ["1"]


def test_a_job_makes_one_canvas_however_often_it_runs(store: CanvasStore) -> None:
    """Under the first name that was never used, so nothing that a user wrote is written over."""
    store.put("a", "review", file("mine"))
    edit = Edit(file("made").text, 1, 0)

    def make(job_id: str) -> str:
        return store.add_new("a", (f"review-{n}" if n > 1 else "review" for n in count(1)), edit, job_id)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(make, ["job"] * 8)) == {"review-2"}
    store.put("a", "review-2", file("written into"))
    assert make("job") == "review-2"
    assert make("another") == "review-3"
    assert (ids(store, "review"), ids(store, "review-2"), ids(store, "review-3")) == (
        ["mine"],
        ["written into"],
        ["made"],
    )


def test_what_was_deleted_long_ago_is_forgotten(store: CanvasStore) -> None:
    for name in ("old", "kept"):
        store.put("a", name, file())
    store.delete("a", "old")
    assert store.purge(time.time() - 60) == 0
    assert store.purge(time.time() + 1) == 1
    with pytest.raises(CanvasNotFound):
        store.versions("a", "old")
    assert [each.name for each in store.list("a")] == ["kept"]


def test_a_tenant_has_no_more_canvases_when_many_come_at_once(store: CanvasStore) -> None:
    """None of them counts without the others."""

    def put(number: int) -> bool:
        try:
            return store.put("a", f"n{number}", file("1")).created
        except TooManyCanvases:
            return False

    with ThreadPoolExecutor(10) as pool:
        kept = list(pool.map(put, range(30)))
    assert (kept.count(True), len(store.list("a", limit=100))) == (3, 3)
