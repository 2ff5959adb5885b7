"""`make demo`: start everything, read the example PDFs, watch the work, ask two questions. Exit code 0: all went well.

It talks to the service as any client would, over HTTP. Everything it keeps is in a folder that goes away with it, so it
neither needs nor touches a running service or its data.
"""

import contextlib
import json
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2

from config import Config, ConfigError, load_config
from local.ports import free_port
from local.redis_server import RedisServerError
from local.stack import ROOT, Stack, StackError, describe, stopped_by_signals

EXAMPLES = ROOT / "examples"
QUESTIONS = ("How long can work that has ended be looked up?", "单个文件最大可以有多大？")
SECONDS = 300.0


class DemoError(Exception):
    """The service did not do what it promises; the message says what was seen."""


def run_demo(url: str) -> None:
    """Upload the examples, follow each job, and ask.

    Raises:
        DemoError: an answer is not what it should be.
    """
    with httpx2.Client(base_url=url, timeout=SECONDS) as client:
        uploads = [upload(client, file) for file in sorted(EXAMPLES.glob("*.pdf"))]
        for accepted in uploads:
            follow(client, accepted)
        for question in QUESTIONS:
            ask(client, question)


def upload(client: httpx2.Client, file: Path) -> dict[str, Any]:
    """Give a document to the service and show how fast it has answered."""
    with file.open("rb") as content:
        answer = client.post("/upload", files={"file": (file.name, content)})
    if answer.status_code != 202:
        raise DemoError(f"POST /upload: {answer.status_code} {answer.text}")
    accepted: dict[str, Any] = answer.json()
    milliseconds = answer.elapsed.total_seconds() * 1000
    print(f"POST /upload {file.name}: 202 after {milliseconds:.0f} ms, document {accepted['document_id']}")
    return accepted


def follow(client: httpx2.Client, accepted: dict[str, Any]) -> None:
    """Show a job's events until it has ended."""
    print(f"\nGET {accepted['links']['events']}  ({accepted['filename']})")
    for kind, data in events(client, accepted["links"]["events"]):
        if kind == "progress":
            print(f"  {data['percent']:5.1f} %  {data['message']}")
        elif kind == "end":
            print(f"  {data['state']}")
    document = client.get(f"/documents/{accepted['document_id']}").json()
    if document["status"] != "completed":
        raise DemoError(f"{document['filename']} is {document['status']}: {document['error_message']}")
    print(f"  {document['pages']} pages, {document['content_length']} characters, {document['passages']} passages")


def events(client: httpx2.Client, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the events of a job as (kind, data), up to its end."""
    kind = ""
    with client.stream("GET", path, headers={"Accept": "text/event-stream"}) as stream:
        for line in stream.iter_lines():
            field, _, value = line.partition(": ")
            if field == "event":
                kind = value
            elif field == "data":
                yield kind, json.loads(value)


def ask(client: httpx2.Client, question: str) -> None:
    """Ask all documents, and show the answer with the pages that it rests on."""
    answer = client.post("/ask", json={"question": question})
    if answer.status_code != 200:
        raise DemoError(f"POST /ask: {answer.status_code} {answer.text}")
    reply = answer.json()
    print(f"\nQ: {question}\nA: {reply['answer']}")
    if not reply["citations"]:
        raise DemoError("The answer names no page.")
    for number, citation in enumerate(reply["citations"], 1):
        print(f"   [{number}] {citation['document_name']}, page {citation['page']}")


def demo_settings(folder: Path) -> tuple[Config, dict[str, str]]:
    """Return settings that touch nothing outside `folder`, and the environment that goes with them.

    Only the settings of the models are taken from this environment.
    """
    kept = ("llm_", "embed", "pdf_engine")
    ours = {name.upper() for name in Config.model_fields if not name.startswith(kept)}
    environ = {name: value for name, value in os.environ.items() if name not in ours}
    for name in ours:
        os.environ.pop(name, None)
    return load_config(data_dir=folder / "var", port=free_port()), environ


def _give_up(stack: Stack) -> None:
    """Interrupt the demo when a process does not stay up: nobody would do what it waits for."""
    with contextlib.suppress(StackError):
        if ended := stack.watch():
            print(f"offstage: {describe(ended)}", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGINT)


def main() -> int:
    """Run the demo and return the exit code."""
    code = 1
    with tempfile.TemporaryDirectory(prefix="offstage-demo-") as name, stopped_by_signals():
        folder = Path(name)
        log = folder / "log"
        try:
            print("Starting Redis, web, worker and scheduler ...", flush=True)
            with log.open("w", encoding="utf-8") as out, Stack(*demo_settings(folder), out=out) as stack:
                print(f"Up: {stack.url}, {stack.redis_version}\n")
                threading.Thread(target=_give_up, args=[stack], daemon=True).start()
                run_demo(stack.url)
            print("\nAll stopped. `make run` starts the service to stay.")
            code = 0
        except (ConfigError, RedisServerError, StackError, DemoError, httpx2.HTTPError) as error:
            print(f"\n{log.read_text(encoding='utf-8')[-5000:]}\noffstage: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
