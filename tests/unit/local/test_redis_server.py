"""The embedded server: it keeps what it was given, and there is never a second one, nor an orphan."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from local.redis_server import RedisServer, RedisServerError
from tests.processes import ended

START_AND_WAIT = """
import sys
from pathlib import Path
from local.redis_server import RedisServer
print(RedisServer(Path(sys.argv[1])).start().pid, flush=True)
sys.stdin.read()
"""


def test_it_listens_on_loopback_only_with_an_append_only_file_and_drops_nothing(redis: Redis) -> None:
    """The promises of design.md, section 8, as the server itself states them."""
    names = ("bind", "appendonly", "appendfsync", "maxmemory-policy")
    assert [redis.config_get(name)[name] for name in names] == ["127.0.0.1", "yes", "everysec", "noeviction"]


def test_what_was_written_is_there_after_a_kill_and_a_restart(tmp_path: Path) -> None:
    """A crash loses nothing that was acknowledged more than a second before, and the address stays."""
    with RedisServer(tmp_path) as server, Redis.from_url(server.url) as client:
        client.set("kept", "yes")
        client.execute_command("WAITAOF", 1, 0, 5000)
        before = server.url
        server.kill()
        server.start()
        assert server.url == before
        assert client.get("kept") == b"yes"


def test_a_second_server_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    """Two servers that append to one file would destroy it."""
    with RedisServer(tmp_path) as server, pytest.raises(RedisServerError, match=f"at {server.url} already uses"):
        RedisServer(tmp_path).start()


def test_no_server_outlives_a_killed_parent(tmp_path: Path) -> None:
    """kill -9 of the program that started it ends the server too, and frees the folder."""
    parent = subprocess.Popen(
        [sys.executable, "-c", START_AND_WAIT, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    assert ended(pid)
    with RedisServer(tmp_path):
        pass


def test_a_server_that_cannot_start_says_why(tmp_path: Path, redis_server: RedisServer) -> None:
    """A taken port is named, with the server's own words."""
    with pytest.raises(RedisServerError, match="Address already in use"):
        RedisServer(tmp_path, port=redis_server.port).start()


def test_stopping_twice_does_no_harm(tmp_path: Path) -> None:
    """Clean-up code may stop what has been stopped."""
    server = RedisServer(tmp_path).start()
    server.stop()
    server.stop()
    with pytest.raises(RedisServerError, match="not running"):
        _ = server.pid
