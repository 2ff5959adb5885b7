"""Ten model calls of ten seconds each in one job, beside a plain script that makes them in ten threads.

The model is a server on loopback that takes `SECONDS` for each call. Starts a whole service on free ports. Prints a
table, then JSON. Run it with `python -m bench.agents [SECONDS]`.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2

from bench.report import print_report
from config import load_config
from jobs.providers.llm import Message, build_language_model
from local.ports import free_port
from local.stack import Stack
from tests.model_server import ModelServer, model_server

CALLS = 10
SECONDS = 10.0


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 and __name__ == "__main__" else SECONDS
    with model_server(seconds=seconds) as model, tempfile.TemporaryDirectory() as folder:
        settings = {"data_dir": Path(folder) / "var", "port": free_port(), "llm_url": model.url, "llm_model": "m"}
        environ = os.environ | {name.upper(): str(value) for name, value in settings.items()}
        with (Path(folder) / "log").open("w") as log, Stack(load_config(**settings), environ, log) as stack:
            rows = [
                _row("POST /agents/batch to the job's end", lambda: offstage(stack.url), seconds),
                _row("a script with ten threads", lambda: script(model, CALLS), seconds),
            ]
    print_report("agents", rows, calls=CALLS, seconds_a_call=seconds)


def offstage(url: str) -> None:
    """Have the service make the calls; return when the job has ended."""
    calls = [{"agent": "assistant", "input": {"prompt": str(number)}} for number in range(CALLS)]
    with httpx2.Client(base_url=url, timeout=60) as client:
        task = client.post("/agents/batch", json={"calls": calls}).raise_for_status().json()["task_id"]
        while not (view := client.get(f"/jobs/{task}", params={"wait": 30}).json())["ended_at"]:
            pass
    if view["result"]["completed"] != CALLS:
        raise SystemExit(f"not all calls have completed: {view}")


def script(model: ModelServer, threads: int) -> None:
    """Make the calls without a service."""
    llm = build_language_model(model.url, model="m")
    assert llm is not None
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda number: llm.complete([Message("user", str(number))]), range(CALLS)))


def _row(what: str, run: Callable[[], None], seconds: float) -> dict[str, object]:
    start = time.perf_counter()
    run()
    took = time.perf_counter() - start
    return {"what": what, "seconds": round(took, 2), "times one call": round(took / seconds, 3)}


if __name__ == "__main__":
    main()
