"""Documents over HTTP, read by real worker processes."""

import io
import re
import shlex
import subprocess
import time
import unicodedata
from typing import Any

import httpx2
import pytest
from pypdf import PdfReader, PdfWriter

from tests.integration.conftest import StartStack
from tests.integration.http import EXAMPLES, ended, read, upload
from webapp.auth import new_key

SEED_LINES = [
    'curl -X POST "http://localhost:8000/upload" -F "file=@test.txt"',
    'curl "http://localhost:8000/documents/1"',
    """curl -X POST "http://localhost:8000/ask" -H "Content-Type: application/json" -d '{
    "question": "什么是 Python",
    "document_id": 1
  }'""",
]
SEED_TEXT = "这是一篇关于 Python 的文档。Python 是一种高级编程语言。\n"


def pdf(pages: int = 1, password: str = "") -> bytes:
    """Return a PDF of blank pages."""
    writer = PdfWriter()
    for _ in range(pages):
        writer.add_blank_page(200, 200)
    if password:
        writer.encrypt(password, algorithm="AES-256")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def encrypted_example(user: str, owner: str) -> bytes:
    """Return the English handbook, encrypted."""
    writer = PdfWriter(clone_from=PdfReader(EXAMPLES / "handbook.en.pdf"))
    writer.encrypt(user_password=user, owner_password=owner, algorithm="AES-256")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_the_seeds_lines_work_as_printed(start_stack: StartStack, tmp_path: Any) -> None:
    """On a fresh start, with curl: the upload is document 1, which is read and answers the question."""
    stack = start_stack()
    (tmp_path / "test.txt").write_text(SEED_TEXT, encoding="utf-8")

    def curl(line: str) -> str:
        words = shlex.split(line.replace("http://localhost:8000", stack.url.replace("127.0.0.1", "localhost")))
        done = subprocess.run([*words, "--silent", "--show-error"], cwd=tmp_path, capture_output=True, check=True)
        return done.stdout.decode()

    assert '"document_id":1' in curl(SEED_LINES[0])
    with httpx2.Client(base_url=stack.url, timeout=40) as client:
        ended(client, client.get("/documents/1").json()["job_id"])
    assert '"status":"completed"' in curl(SEED_LINES[1])
    assert "Python 是一种高级编程语言" in curl(SEED_LINES[2])


def test_both_example_documents_answer_with_their_pages(client: httpx2.Client) -> None:
    """A real PDF in each language, asked in its language: the answer names the page that holds it."""
    for name, question, expected in [
        ("handbook.en.pdf", "How long can work that has ended be looked up?", "168 hours"),
        ("handbook.zh.pdf", "单个文件最大可以有多大？", "五十兆字节"),
    ]:
        content = (EXAMPLES / name).read_bytes()
        document = read(client, name, content)
        assert (document["status"], document["pages"]) == ("completed", 4)
        body = {"question": question, "document_id": document["id"]}
        answer = client.post("/ask", json=body).raise_for_status().json()
        assert not answer["refused"]
        assert expected in answer["answer"]
        assert answer["mode"] == "extractive"
        page = PdfReader(io.BytesIO(content)).pages[answer["citations"][0]["page"] - 1].extract_text()
        passage = answer["citations"][0]["passage"]
        assert _letters(passage[:40]) in _letters(page)


@pytest.mark.parametrize("question", ["What is the capital of Mongolia?", "明天上海的天气怎么样？"])
def test_what_the_documents_do_not_hold_is_refused(client: httpx2.Client, question: str) -> None:
    """No citations, and no answer made up."""
    document = read(client, "handbook.en.pdf", (EXAMPLES / "handbook.en.pdf").read_bytes())
    answer = client.post("/ask", json={"question": question, "document_id": document["id"]}).json()
    assert answer["refused"]
    assert answer["citations"] == []


def test_the_same_file_twice_is_one_document(client: httpx2.Client) -> None:
    """Whatever it is called; its job is the first one's."""
    content = "同一个文件 the same file".encode()
    first, second = upload(client, "a.txt", content), upload(client, "b.txt", content)
    assert (first["document_id"], first["task_id"]) == (second["document_id"], second["task_id"])


def test_vectors_follow_the_text(client: httpx2.Client) -> None:
    """A document is completed, and asked, before its vectors are; then both are said."""
    document = read(client, "v.txt", "向量随后就到。Vectors follow soon after.".encode())
    assert document["status"] == "completed"
    until = time.monotonic() + 60
    while client.get(f"/documents/{document['id']}").json()["vectors"] != "completed":
        assert time.monotonic() < until
    hits = client.get("/search", params={"q": "向量", "document_id": document["id"]}).json()["hits"]
    assert hits[0]["similarity"] is not None


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("locked.pdf", encrypted_example("secret", "owner"), "pdf_encrypted"),
        ("scan.pdf", pdf(3), "no_text"),
        ("torn.pdf", (EXAMPLES / "handbook.en.pdf").read_bytes()[:20_000], "corrupt"),
    ],
)
def test_unreadable_documents_fail_with_a_stable_code(
    client: httpx2.Client, name: str, content: bytes, code: str
) -> None:
    """The document and its job say why, and cannot be asked; the worker lives on."""
    document = read(client, name, content)
    assert (document["status"], document["error_code"]) == ("failed", code)
    assert document["error_message"]
    job = client.get(f"/jobs/{document['job_id']}").json()
    assert (job["state"], job["error"]["code"], len(job["attempts"])) == ("failed", code, 1)
    asked = client.post("/ask", json={"question": "?", "document_id": document["id"]})
    assert (asked.status_code, asked.json()["code"]) == (400, "document_not_ready")
    assert "failed" in asked.json()["detail"]
    assert read(client, "after.txt", name.encode())["status"] == "completed"


def test_a_pdf_with_an_owners_password_alone_is_read(client: httpx2.Client) -> None:
    """Everybody can open it."""
    assert read(client, "owner.pdf", encrypted_example("", "owner"))["status"] == "completed"


def ids(client: httpx2.Client) -> list[int]:
    return [document["id"] for document in client.get("/documents").json()["documents"]]


@pytest.mark.parametrize(
    ("name", "content", "status", "code"),
    [
        ("paper.pdf", b"MZ" + bytes(200), 415, "unsupported_media_type"),
        ("empty.pdf", b"", 422, "empty_file"),
        ("zip.docx", b"PK\x03\x04" + bytes(100), 415, "unsupported_media_type"),
    ],
)
def test_what_is_no_document_is_refused_at_once(
    client: httpx2.Client, name: str, content: bytes, status: int, code: str
) -> None:
    """By its content, whatever its name; nothing is stored and no job is started."""
    before = ids(client)
    answer = client.post("/upload", files={"file": (name, content)})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert ids(client) == before


@pytest.mark.parametrize("name", ["../../etc/passwd", "..\\..\\boot.ini", "a\x00b.txt", "..", " ", "好" * 500 + ".txt"])
def test_a_file_name_is_only_text(client: httpx2.Client, name: str) -> None:
    """Folders and control characters are dropped; nothing is written outside of the store."""
    shown = upload(client, name, f"named {name!r}".encode())["filename"]
    assert shown
    assert not re.search(r"[/\\\x00]|^\.+$", shown)
    assert len(shown) <= 200


def test_a_deleted_document_is_gone_with_its_text(client: httpx2.Client) -> None:
    """From the list, the search and the questions; deleting twice is a 404."""
    document = read(client, "gone.txt", "zanzibar 桑给巴尔".encode())
    assert document["id"] in found_in(client, "桑给巴尔")
    assert client.delete(f"/documents/{document['id']}").status_code == 204
    assert document["id"] not in found_in(client, "桑给巴尔")
    for answer in (client.get(f"/documents/{document['id']}"), client.delete(f"/documents/{document['id']}")):
        assert (answer.status_code, answer.json()["code"]) == (404, "document_not_found")
    purges = client.get("/jobs", params={"type": "documents.purge"}).json()["jobs"]
    assert ended(client, purges[0]["id"])["result"] == {"document_id": document["id"], "purged": True}


def test_documents_are_listed_in_pages(client: httpx2.Client) -> None:
    """Newest first; the cursor goes on exactly after the last one."""
    ids = [upload(client, "p.txt", f"page {n}".encode())["document_id"] for n in range(3)]
    first = client.get("/documents", params={"limit": 2}).json()
    second = client.get("/documents", params={"limit": 1, "cursor": first["next_cursor"]}).json()
    assert [document["id"] for document in first["documents"] + second["documents"]] == ids[::-1]


def test_another_tenants_documents_answer_as_missing_ones(start_stack: StartStack) -> None:
    """The same 404 on every route; lists, searches and questions see one's own only; the same file is not shared."""
    (mine, entry), (theirs, other) = new_key("acme"), new_key("other")
    stack = start_stack(api_keys=f"{entry},{other}")
    acme = httpx2.Client(base_url=stack.url, headers={"Authorization": f"Bearer {mine}"}, timeout=40)
    stranger = httpx2.Client(base_url=stack.url, headers={"Authorization": f"Bearer {theirs}"}, timeout=40)
    with acme, stranger:
        document = read(acme, "secret.txt", "内部机密 internal zanzibar".encode())
        number, job_id = document["id"], document["job_id"]
        for method, path, missing in [
            ("GET", f"/documents/{number}", "/documents/999"),
            ("DELETE", f"/documents/{number}", "/documents/999"),
            ("GET", f"/jobs/{job_id}", f"/jobs/{'0' * 32}"),
            ("GET", f"/jobs/{job_id}/events", f"/jobs/{'0' * 32}/events"),
            ("POST", f"/jobs/{job_id}/cancel", f"/jobs/{'0' * 32}/cancel"),
            ("POST", f"/jobs/{job_id}/requeue", f"/jobs/{'0' * 32}/requeue"),
            ("GET", f"/task/{job_id}", f"/task/{'0' * 32}"),
        ]:
            headers = {"X-Request-ID": "same"}
            foreign = stranger.request(method, path, headers=headers)
            absent = stranger.request(method, missing, headers=headers)
            assert (foreign.status_code, foreign.content) == (404, absent.content), path
        asked = stranger.post("/ask", json={"question": "zanzibar?", "document_id": number})
        assert (asked.status_code, asked.json()["code"]) == (404, "document_not_found")
        assert stranger.get("/search", params={"q": "zanzibar"}).json()["hits"] == []
        assert stranger.post("/ask", json={"question": "zanzibar"}).json()["refused"]
        assert stranger.get("/documents").json()["documents"] == []
        assert upload(stranger, "secret.txt", "内部机密 internal zanzibar".encode())["document_id"] != number
        assert httpx2.get(f"{stack.url}/documents/{number}").status_code == 401


def found_in(client: httpx2.Client, query: str) -> set[int]:
    """Return the documents in which a search finds something."""
    return {hit["document_id"] for hit in client.get("/search", params={"q": query}).raise_for_status().json()["hits"]}


def _letters(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).split())
