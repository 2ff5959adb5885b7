"""A real, headless Chromium, driven over the pipe that it opens for tools: nothing to install but the browser.

The protocol is Chrome's DevTools: JSON objects that end with a NUL byte; commands have an id, events have none.
"""

import itertools
import json
import os
import select
import shutil
import subprocess
import sys
from pathlib import Path
from time import monotonic
from typing import Any

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
]
SECONDS = 20.0
# Chromium reads commands from descriptor 3 and writes to 4.
_ON_3_AND_4 = """
import fcntl, os, sys
commands, answers = (fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3])
os.dup2(commands, 3), os.dup2(answers, 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""


class BrowserError(Exception):
    """A script in the page failed, or the browser did not do in time what it was asked for."""


class Chromium:
    """One browser process with a profile folder of its own. Usable as a context manager."""

    def __init__(self, profile: Path) -> None:
        program = shutil.which("chromium") or shutil.which("google-chrome")
        if program is None:
            raise BrowserError("Chromium is needed: tests/browser/install.sh")
        command_end, self._commands = os.pipe()
        self._answers, answer_end = os.pipe()
        launcher = [sys.executable, "-IS", "-c", _ON_3_AND_4, str(command_end), str(answer_end)]
        self._process = subprocess.Popen(
            [*launcher, program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=[command_end, answer_end],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(command_end)
        os.close(answer_end)
        self._ids = itertools.count(1)
        self._buffer = b""
        self._pages: dict[str, Page] = {}

    def page(self, headers: dict[str, str] | None = None) -> "Page":
        """Open a tab with cookies and logins of its own, whose every request carries `headers`."""
        context = self.send("Target.createBrowserContext")["browserContextId"]
        target = self.send("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.send(f"{domain}.enable")
        page.send("Network.setExtraHTTPHeaders", headers=headers or {})
        return page

    def send(self, method: str, session: str | None = None, **parameters: Any) -> Any:
        """Send a command and return its result; events that come meanwhile go to their pages."""
        number = next(self._ids)
        message = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive(method)
            if answer.get("id") != number:
                if page := self._pages.get(answer.get("sessionId", "")):
                    page.events.append(answer)
            elif "error" in answer:
                raise BrowserError(f"{method}: {answer['error']['message']}")
            else:
                return answer["result"]

    def close(self) -> None:
        """End the browser."""
        self._process.terminate()
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)

    def __enter__(self) -> "Chromium":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _receive(self, waiting_for: str) -> Any:
        deadline = monotonic() + SECONDS
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, deadline - monotonic()))
            if not ready:
                raise BrowserError(f"{waiting_for}: no answer")
            data = os.read(self._answers, 1 << 20)
            if not data:
                raise BrowserError(f"{waiting_for}: the browser has ended")
            self._buffer += data
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)


class Page:
    """One tab. `events` are the protocol's, oldest first: console lines, exceptions, dialogs, network."""

    def __init__(self, browser: Chromium, session: str) -> None:
        self._browser = browser
        self._session = session
        self.events: list[dict[str, Any]] = []

    def send(self, method: str, **parameters: Any) -> Any:
        """Send a command to this tab."""
        return self._browser.send(method, self._session, **parameters)

    def open(self, url: str, ready: str = "document.readyState === 'complete'") -> None:
        """Go to an address and wait until a condition, a JavaScript expression, holds there."""
        answer = self.send("Page.navigate", url=url)
        if answer.get("errorText"):
            raise BrowserError(f"{url}: {answer['errorText']}")
        self.wait_for(ready)

    def run(self, script: str) -> Any:
        """Return the value of a JavaScript expression; a promise is awaited."""
        answer = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise BrowserError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait_for(self, condition: str, seconds: float = SECONDS) -> None:
        """Wait until a JavaScript expression is true, over page loads too."""
        script = (
            "new Promise(done => { const end = Date.now() + 1000; const look = () => { let holds = false; "
            f"try {{ holds = Boolean({condition}) }} catch {{}} "
            "holds || Date.now() > end ? done(holds) : setTimeout(look, 20) }; look() })"
        )
        deadline = monotonic() + seconds
        while monotonic() < deadline:
            try:
                if self.run(script):
                    return
            except BrowserError:  # the page went away under it
                continue
        raise BrowserError(f"never true: {condition}\n{self.text()[:2000]}")

    def text(self) -> str:
        """Return the text that a person sees."""
        return str(self.run("document.body.innerText"))

    def click(self, selector: str) -> None:
        """Click the first element that a CSS selector finds, once it is there."""
        self.wait_for(f"document.querySelector({json.dumps(selector)})")
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def problems(self) -> list[str]:
        """Return uncaught exceptions and console errors so far."""
        self.run("0")  # takes in the events that have come
        found = []
        for event in self.events:
            parameters = event.get("params", {})
            if event["method"] == "Runtime.exceptionThrown":
                found.append(str(parameters["exceptionDetails"]))
            elif event["method"] == "Log.entryAdded" and parameters["entry"]["level"] == "error":
                found.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")
        return found
