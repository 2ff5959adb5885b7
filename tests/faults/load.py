"""Clients: each sends one request after the other under an `Idempotency-Key`, and again until it is answered."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx2

CLIENTS = 4
_PAUSE_SECONDS = 0.05  # between two requests of one client
_AGAIN = (409, 429, 500, 502, 503, 504, 507)  # 409: the first one is under way
_TIMEOUT = 30.0


def mail_subject(serial: int) -> str:
    """Return the subject of a request's mail."""
    return f"Mail {serial}"


class Refused(Exception):
    """A request was answered as if the client had made a mistake."""


@dataclass
class Told:
    """What a client was told with a 202."""

    serial: int
    kind: str  # count, upload, mail, or the name of a job type
    job_id: str
    hooked: bool = False


@dataclass
class Load:
    """What all clients together have asked for and were told. `statuses` counts every answer; `complaints` are answers
    that no client should get."""

    urls: list[str]
    outside_url: str
    seed: int
    serials: Iterator[int]
    told: list[Told] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ending: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Start the clients."""
        self._threads = [
            threading.Thread(target=self._client, args=(Random(self.seed + n),), daemon=True) for n in range(CLIENTS)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float) -> int:
        """Send nothing new, and wait for what is under way; return how many clients got no answer in time."""
        self._ending.set()
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return sum(thread.is_alive() for thread in self._threads)

    def ask(self, method: str, url: str, **options: Any) -> httpx2.Response | None:
        """Send one request; None if nothing came back. Every answer is counted."""
        try:
            with httpx2.Client(timeout=_TIMEOUT) as client:
                answer = client.request(method, url, **options)
        except httpx2.HTTPError:
            return None
        with self._lock:
            self.statuses[answer.status_code] += 1
            if answer.status_code == 500:
                self.complaints.append(f"{method} {url}: {answer.text[:200]}")
        return answer

    def new_serial(self) -> int:
        """Return a number that stands for one request, however often it is sent."""
        return next(self.serials)

    def submit(self, kind: str, random: Random, *, serial: int | None = None, hooked: bool = False) -> Told:
        """Send a request until it is answered with 202, to one web or the other as a load balancer would.

        Raises:
            Refused: the answer is none that a client would send the request again for.
        """
        serial = self.new_serial() if serial is None else serial
        while True:
            answer = self._send(random.choice(self.urls), kind, serial, hooked=hooked)
            if answer is not None and answer.status_code == 202:
                told = Told(serial, kind, answer.headers["X-Task-ID"], hooked)
                with self._lock:
                    self.told.append(told)
                return told
            if answer is not None and answer.status_code not in _AGAIN:
                raise Refused(f"{kind} {serial}: {answer.status_code} {answer.text[:300]}")
            time.sleep(random.uniform(0.1, 0.5))

    def _send(self, base: str, kind: str, serial: int, *, hooked: bool) -> Any:
        headers = {"Idempotency-Key": f"{self.seed}-{serial}"}
        query = f"?webhook_url={self.outside_url}/hook/{serial}" if hooked else ""
        if kind == "upload":
            content = f"Pump {serial}: the valve of pump {serial} opens at {serial} bar.".encode()
            return self.ask("POST", f"{base}/upload{query}", headers=headers, files={"file": ("a.txt", content)})
        if kind == "mail":
            words = {"subject": mail_subject(serial), "message": "你好", "notification_types": ["email"]}
            mail = {"user_id": str(serial), "email": f"user-{serial}@example.com", **words}
            return self.ask("POST", f"{base}/notify", headers=headers, json=mail)
        body: dict[str, Any] = {"args": {}}
        if kind == "count":
            body = {"args": {"serial": serial, "url": f"{self.outside_url}/post"}}
            if hooked:
                body["webhook_url"] = f"{self.outside_url}/hook/{serial}"
        return self.ask("POST", f"{base}/jobs/fault.{kind}", headers=headers, json=body)

    def _client(self, random: Random) -> None:
        while not self._ending.wait(random.uniform(0, 2 * _PAUSE_SECONDS)):
            chance = random.random()
            try:
                told = self.submit("upload" if chance < 0.1 else "count", random, hooked=0.1 <= chance < 0.3)
            except Refused as refused:
                self.complaints.append(str(refused))
                continue
            if random.random() < 0.2:
                self.ask("GET", f"{random.choice(self.urls)}/jobs/{told.job_id}")
