"""What the engine adds to research: the same plan, searches and sections by the service and by a script, in turns.

A model and a web on loopback, in a process of their own, take the time that real ones take; the script has threads for
its searches, no job, no step, no event, no database. Prints a table, then JSON. Run it with `python -m bench.research`.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import httpx2
from fakeredis import FakeRedis

from bench.report import print_report
from config import Config, load_config
from jobs.domain.chunks import split_page
from jobs.domain.citations import CitedText
from jobs.domain.reports import SourceList, head, heading, section_prompt, summary_prompt, summary_title, tail
from jobs.domain.research import PLAN, Passage, Plan, PlanInput, Source, candidates, chosen
from jobs.providers.embedder import Embedder, build_embedder
from jobs.providers.llm import Message, build_language_model
from jobs.providers.web_search import build_web_search
from jobs.searching import compared
from jobs.services import build_pages
from local.ports import free_port
from local.stack import Stack
from tests.live_reader import Reader
from tests.model_server import model_server
from tests.small_web import small_web

ROUNDS = 5
AT_ONCE = 4
SECTION_WORDS = 150
QUESTIONS = [f"What does sleep do for memory, part {n}?" for n in range(4)]
PAGE = "<title>Page</title>" + "<p>Sleep consolidates memory, and part of it is dreaming of what was learnt.</p>" * 40
MODEL_SECONDS, WORD_SECONDS, WEB_SECONDS = 0.3, 0.02, 0.5


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, outside() as (model_url, web_url):
        config = load_config(
            data_dir=Path(folder) / "var",
            port=free_port(),
            worker_concurrency=AT_ONCE,
            llm_url=model_url,
            llm_model="small",
            web_search_url=web_url,
            web_allow_private=True,
            research_searches=AT_ONCE,
        )
        given = {
            name: getattr(config, name) for name in ("llm_url", "llm_model", "web_search_url", "web_allow_private")
        }
        environ = os.environ | {name.upper(): str(value) for name, value in given.items()}
        with (Path(folder) / "log").open("w") as log, Stack(config, environ, log) as stack:
            embedder = build_embedder("use")
            rounds = [(by_script(config, embedder), *by_service(stack)) for _ in range(ROUNDS + 1)][1:]
    script, service, event, text = zip(*rounds, strict=True)
    overheads = [100 * (ours / bare - 1) for bare, ours in zip(script, service, strict=True)]
    rows = [
        row("plain script, to the report", script),
        row("the service, from the POST to the end event", service),
        row("the service, from the POST to the first event of the job", event),
        row("the service, from the POST to the first text", text),
    ]
    print_report("research", rows, overhead_percent=[round(each, 1) for each in overheads])
    print(f"overhead at the median: {median(overheads):.1f} %")
    return 0


def row(what: str, seconds: Any) -> dict[str, Any]:
    ordered = sorted(seconds)
    values = {"min s": ordered[0], "p50 s": median(ordered), "max s": ordered[-1]}
    return {"what": what, "times": len(ordered)} | {name: round(value, 3) for name, value in values.items()}


@contextmanager
def outside() -> Iterator[tuple[str, str]]:
    """Run the model and the web in a process of their own, and yield their addresses."""
    spawn = get_context("spawn")
    urls = spawn.Queue()
    process = spawn.Process(target=serve, args=(urls,), daemon=True)
    process.start()
    yield urls.get()
    process.terminate()


def serve(urls: Any) -> None:
    pages = {f"/page-{n}": PAGE for n in range(5)}
    with (
        model_server(seconds=MODEL_SECONDS, piece_seconds=WORD_SECONDS, answer=answer) as model,
        small_web(seconds=WEB_SECONDS, pages=pages) as web,
    ):
        urls.put((model.url, web.url))
        while True:
            time.sleep(3600)


def answer(message: str) -> str:
    if message.startswith("Write"):
        return json.dumps({"title": "Sleep and memory", "questions": QUESTIONS})
    return "word " * (SECTION_WORDS - 3) + "so it is [1]."


def by_service(stack: Stack) -> tuple[float, float, float]:
    """Return the seconds to the end, to the first event of the job, and to the first text."""
    reader, began = Reader("/research"), time.perf_counter()
    body = {
        "query": "What does sleep do for memory?",
        "search_config": {"documents": False, "breadth": 4},
        "fresh": True,
    }
    first: dict[str, float] = {}
    for kind, data, event_id in reader._events(stack.url, method="POST", json=body):
        if event_id:
            first.setdefault("event", time.perf_counter() - began)
        if kind == "output":
            first.setdefault("text", time.perf_counter() - began)
        reader._apply(kind, data, event_id)
        if reader.ended:
            break
    took = time.perf_counter() - began
    task = httpx2.get(f"{stack.url}/research?limit=1").json()["research"][0]
    assert task["status"] == "completed", task
    assert reader.text == httpx2.get(f"{stack.url}/research/{task['id']}/report.md").text
    return took, first["event"], first["text"]


def by_script(config: Config, embedder: Embedder) -> float:
    """Return the seconds that a plain script takes to the same report."""
    began = time.perf_counter()
    llm, web = build_language_model(config.llm_url, model="small"), build_web_search(config.web_search_url)
    pages = build_pages(FakeRedis(), config)
    assert llm is not None
    assert web is not None
    given = PlanInput(query="What does sleep do for memory?", count=4)
    planned = llm.complete(
        [Message("system", PLAN.instructions()), Message("user", PLAN.prompt(given))], schema=PLAN.schema()
    )
    plan = PLAN.read(planned.text)
    assert isinstance(plan, Plan)

    def read(question: str, url: str, title: str) -> list[Passage]:
        page = pages.read(url)
        source = Source(title=title, url=page.url)
        text = [each for part in page.pages for each in split_page(part.number, part.text)]
        return candidates(question, [Passage(source=source, text=each.text) for each in text])

    def look_up(question: str) -> list[Passage]:
        found = web.search(question, limit=5, language="en")
        with ThreadPoolExecutor(5) as pool:
            read_pages = pool.map(lambda each: read(question, each.url, each.title), found)
            return [passage for some in read_pages for passage in some]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        findings = list(pool.map(look_up, plan.questions))
    sections = compared(embedder, dict(zip(plan.questions, findings, strict=True)))
    sources = SourceList()
    report = head(plan.title, "en", extractive=False)
    for question, found in sections.items():
        passages = chosen(found, 5)
        shown = [passage.source for passage in passages]
        report += heading(question) + written(
            llm, section_prompt(given.query, question, passages, "en"), sources, shown
        )
    report += heading(summary_title("en")) + written(llm, summary_prompt(report, "en"), sources, sources.sources)
    report += tail(sources.sources, [], "en")
    return time.perf_counter() - began


def written(llm: Any, prompt: tuple[str, str], sources: SourceList, shown: list[Source]) -> str:
    text = CitedText(lambda label: sources.number(shown[label - 1]) if label <= len(shown) else None)
    messages = [Message("system", prompt[0]), Message("user", prompt[1])]
    return "".join(text.feed(piece) for piece in llm.stream(messages, max_tokens=800)) + text.end() + "\n\n"


if __name__ == "__main__":
    sys.exit(main())
