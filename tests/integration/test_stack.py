"""The Procfile on one machine: how it starts, what it honours, what it refuses, and that nothing of it stays behind."""

import os
import shlex
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import httpx2
import pytest
from redis import Redis
from rq.suspension import suspend

from local.ports import free_port
from local.processes import read_procfile
from local.redis_server import RedisServer
from local.stack import CRASH_SECONDS, Stack
from tests.integration.conftest import StartStack
from tests.integration.http import ended as ended_job
from tests.integration.http import upload
from tests.processes import children, descendants, ended
from tests.tls import tls_before

ROOT = Path(__file__).resolve().parents[2]
KEYS = f"{'0' * 64}:acme"
BIN = Path(sys.executable).parent
COMMANDS = {
    name: [str(BIN / line.split()[0]), *shlex.split(line)[1:]]
    for name, line in read_procfile(ROOT / "Procfile").items()
}
COMMANDS["stack"] = [sys.executable, "-m", "local.stack"]


class Running:
    """`make run` as a person has it: the leader of a terminal's process group."""

    def __init__(self, **settings: str) -> None:
        self.url = f"http://127.0.0.1:{settings['PORT']}"
        self.process = subprocess.Popen(
            COMMANDS["stack"],
            cwd=ROOT,
            env=os.environ | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.output = ""

    def wait_for(self, text: str) -> None:
        """Read its output up to a line that has `text`."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line
            if text in line:
                return
        pytest.fail(f"it ended without saying {text!r}:\n{self.output}")

    def press_ctrl_c(self) -> None:
        """Send what a terminal sends: SIGINT to the whole group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def rest(self) -> str:
        """Return all of its output once it has ended."""
        assert self.process.stdout is not None
        self.output += self.process.stdout.read()
        self.process.wait(30)
        return self.output


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A stack that is up."""
    stack = Running(PORT=str(free_port()), DATA_DIR=str(tmp_path / "var"), WEB_CONCURRENCY="1", WORKER_CONCURRENCY="1")
    with stack.process:
        try:
            stack.wait_for("Ctrl-C stops everything")
            yield stack
        finally:
            stack.process.kill()


def refused(command: list[str], **settings: str) -> str:
    """Run a command that must refuse to start, and return what it says: a message, not a traceback."""
    done = subprocess.run(command, cwd=ROOT, env=os.environ | settings, capture_output=True, text=True, timeout=60)
    said = done.stdout + done.stderr
    assert done.returncode != 0, said
    assert "Traceback" not in said, said
    return said


def gunicorn(*arguments: str) -> list[str]:
    """Return the Procfile's web command, with arguments more."""
    return [*COMMANDS["web"], *arguments]


def test_ctrl_c_ends_every_process(running: Running) -> None:
    """Web, worker, scheduler, Redis, and all that they have started; with exit code 0, since it was asked for."""
    started = descendants(running.process.pid)
    assert len(started) >= 5
    running.press_ctrl_c()
    running.rest()
    assert running.process.returncode == 0
    assert all(ended(pid, seconds=1) for pid in started)


def test_a_kill_leaves_no_orphan(running: Running) -> None:
    """kill -9 gives no time to clean up: the kernel tells the processes."""
    started = descendants(running.process.pid)
    running.process.kill()
    assert all(ended(pid, seconds=40) for pid in started)


def test_a_process_that_ends_is_started_again(running: Running) -> None:
    """As a platform does it, once it has been up for a while; what the worker was to do is done."""
    with httpx2.Client(base_url=running.url, timeout=40) as client:
        until = monotonic() + CRASH_SECONDS
        while monotonic() < until:
            client.get("/health").raise_for_status()
        os.kill(worker_of(running), signal.SIGKILL)
        running.wait_for("worker ended by SIGKILL. Starting it again.")
        assert ended_job(client, upload(client, "again.txt", b"again")["task_id"])["state"] == "completed"


def test_a_process_that_does_not_stay_up_ends_the_others_and_is_said(running: Running) -> None:
    """Half a service is none."""
    started = descendants(running.process.pid)
    os.kill(worker_of(running), signal.SIGKILL)
    assert "offstage: worker ended by SIGKILL." in running.rest()
    assert running.process.returncode == 1
    assert all(ended(each) for each in started)


def test_a_port_that_is_taken_is_said_before_anything_starts(running: Running, tmp_path: Path) -> None:
    """Or the other service would answer in our place."""
    port = running.url.rpartition(":")[2]
    said = refused(COMMANDS["stack"], PORT=port, DATA_DIR=str(tmp_path / "second"))
    assert f"Port {port}" in said
    assert f"PORT={int(port) + 1}" in said


def worker_of(running: Running) -> int:
    """Return the worker's process id."""
    (worker,) = (pid for pid, line in children(running.process.pid).items() if "worker.py high" in line)
    return worker


def test_an_embedded_redis_that_ends_is_started_again(running: Running, tmp_path: Path) -> None:
    """With what it had written: the job that was accepted before is there, and new work is taken and done."""
    with httpx2.Client(base_url=running.url, timeout=40) as client:
        before = upload(client, "before.txt", b"before")["task_id"]
        ended_job(client, before)
        (server,) = (pid for pid, line in children(running.process.pid).items() if "-server " in line)
        os.kill(server, signal.SIGKILL)
        running.wait_for("The embedded Redis has ended")
        until = monotonic() + 30
        while client.get("/readyz").status_code != 200:
            assert monotonic() < until
        assert client.get(f"/jobs/{before}").json()["state"] == "completed"
        assert ended_job(client, upload(client, "after.txt", b"after")["task_id"])["state"] == "completed"


def test_the_dashboard_password_is_made_once_and_kept_from_others(running: Running, tmp_path: Path) -> None:
    """It is printed at the start, and opens the dashboard."""
    file = tmp_path / "var" / "dashboard-password"
    password = file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert f"password {password}" in running.output
    assert httpx2.get(f"{running.url}/rq/", auth=("admin", password)).status_code == 200
    assert httpx2.get(f"{running.url}/rq/").status_code == 401


def test_port_redis_url_and_database_url_are_honoured(start_stack: StartStack, redis: Redis, tmp_path: Path) -> None:
    """As a Heroku-like host gives them: no server of our own is started beside the named one."""
    pool = redis.connection_pool.connection_kwargs
    url = f"redis://127.0.0.1:{pool['port']}/1"
    stack = start_stack(redis_url=url, database_url=f"sqlite:///{tmp_path / 'named.db'}")
    answer = httpx2.post(f"{stack.url}/upload", files={"file": ("a.txt", b"Some text.")})
    assert answer.status_code == 202
    with Redis.from_url(url) as named:
        assert named.exists(f"rq:job:{answer.json()['task_id']}")
    with sqlite3.connect(tmp_path / "named.db") as database:
        assert database.execute("SELECT filename FROM documents").fetchall() == [("a.txt",)]
    database.close()
    assert not (stack.config.data_dir / "redis").exists()
    assert not (stack.config.data_dir / "offstage.db").exists()


def test_the_stack_serves_its_routes(stack: Stack, client: httpx2.Client) -> None:
    """Up means ready: the first request after the start is served."""
    assert client.get("/readyz").json()["status"] == "ok"
    assert stack.url.startswith("http://127.0.0.1:")


@pytest.mark.parametrize("address", ["0.0.0.0", "[::]", "192.0.2.1"])
def test_gunicorn_refuses_an_open_address_without_keys(redis_server: RedisServer, address: str) -> None:
    """Also when it is given on gunicorn's own command line, or in its own variable."""
    bind = f"{address}:{free_port()}"
    for command, settings in ((gunicorn("-b", bind), {}), (gunicorn(), {"GUNICORN_CMD_ARGS": f"-b {bind}"})):
        said = refused(command, REDIS_URL=redis_server.url, **settings)
        assert f"Refusing to listen on {address.strip('[]')} without API keys" in said
        assert "make key" in said


def test_host_is_refused_the_same_way(redis_server: RedisServer, tmp_path: Path) -> None:
    """By the web process and by the whole stack."""
    settings = {"HOST": "0.0.0.0", "PORT": str(free_port()), "DATA_DIR": str(tmp_path)}
    message = "Refusing to listen on 0.0.0.0 without API keys"
    assert message in refused(gunicorn(), REDIS_URL=redis_server.url, **settings)
    assert message in refused(COMMANDS["stack"], **settings)


def test_with_keys_every_address_is_served(start_stack: StartStack) -> None:
    """And asks for one."""
    stack = start_stack(api_keys=KEYS)
    assert stack.config.bind_host == "0.0.0.0"
    assert httpx2.get(f"{stack.url}/documents").status_code == 401


@pytest.mark.parametrize("name", ["stack", "web", "worker", "scheduler", "release"])
def test_a_bad_setting_is_named_without_a_traceback(name: str, tmp_path: Path) -> None:
    """Every one of them at once, by every process of the Procfile."""
    settings = {"PORT": "abc", "API_KEYS": "short:acme", "DATA_DIR": str(tmp_path)}
    said = refused(COMMANDS[name], **settings)
    assert "PORT" in said
    assert "API_KEYS" in said


@pytest.mark.parametrize("name", ["stack", "web", "worker", "scheduler"])
def test_a_redis_that_may_drop_jobs_is_refused(tmp_path: Path, name: str) -> None:
    """With the cure in the message."""
    with RedisServer(tmp_path / "redis") as server, Redis.from_url(server.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        said = refused(COMMANDS[name], REDIS_URL=server.url, DATA_DIR=str(tmp_path), PORT=str(free_port()))
    assert "maxmemory-policy is allkeys-lru" in said
    assert "noeviction" in said


def test_a_redis_that_is_not_there_is_said(tmp_path: Path) -> None:
    """Within seconds."""
    said = refused(COMMANDS["stack"], REDIS_URL="redis://127.0.0.1:1/0", DATA_DIR=str(tmp_path))
    assert "REDIS_URL: the server cannot be reached" in said


def test_rediss_with_a_certificate_signed_by_itself(start_stack: StartStack, redis: Redis, tmp_path: Path) -> None:
    """As Heroku gives it in REDIS_URL: web, worker, scheduler and dashboard work over it."""
    with tls_before(redis.connection_pool.connection_kwargs["port"], tmp_path) as port:
        stack = start_stack(redis_url=f"rediss://127.0.0.1:{port}/0")
        job_id = httpx2.post(f"{stack.url}/upload", files={"file": ("a.txt", b"Over TLS.")}).json()["task_id"]
        job = httpx2.get(f"{stack.url}/jobs/{job_id}", params={"wait": 30}, timeout=40).json()
        assert job["state"] == "completed"
        login = ("admin", stack.password)
        assert httpx2.get(f"{stack.url}/rq/0/data/queues.json", auth=login).json()["queues"]
        stack.stop()


def test_rediss_that_demands_a_good_certificate_refuses_a_bad_one(redis_server: RedisServer, tmp_path: Path) -> None:
    """The URL's own word goes before ours."""
    with tls_before(redis_server.port, tmp_path) as port:
        said = refused(
            COMMANDS["stack"],
            REDIS_URL=f"rediss://127.0.0.1:{port}/0?ssl_cert_reqs=required",
            DATA_DIR=str(tmp_path),
        )
    assert "CERTIFICATE_VERIFY_FAILED" in said


def test_open_streams_do_not_hold_up_the_end(start_stack: StartStack) -> None:
    """A stream is ended in order, so that its client comes back at once, to the next process."""
    stack = start_stack()
    with Redis.from_url(stack.redis_url) as redis:
        suspend(redis)
    job_id = httpx2.post(f"{stack.url}/upload", files={"file": ("a.txt", b"Not yet.")}).json()["task_id"]
    with httpx2.stream("GET", f"{stack.url}/jobs/{job_id}/events", timeout=60) as stream:
        lines = stream.iter_lines()
        assert next(lines) == "event: status"
        begin = monotonic()
        stack.stop()
        assert monotonic() - begin < 10
        assert "event: end" not in list(lines)
