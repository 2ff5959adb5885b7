"""What a Redis server must be before jobs are given to it."""

import socket
from typing import Any

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from config import ConfigError
from jobs.providers.redis_check import check_redis, connect


class Server(Redis):
    """A server that states the given facts about itself."""

    def __init__(self, **facts: Any) -> None:
        super().__init__()
        self.facts = {"redis_version": "7.2.4", "maxmemory_policy": "noeviction"} | facts

    def info(self, section: str | None = None, *args: Any, **kwargs: Any) -> Any:
        return self.facts


def test_the_real_server_is_fit(redis: Redis) -> None:
    """The one that we start passes our own check."""
    assert check_redis(redis).split()[0] in ("Redis", "Valkey")


def test_valkey_is_named_with_its_own_version() -> None:
    """It states the Redis version that it equals, too; people know it by its own."""
    assert check_redis(Server(server_name="valkey", valkey_version="9.1.2")) == "Valkey 9.1.2"


def test_an_old_server_is_refused_with_what_is_needed() -> None:
    """The message has both versions."""
    with pytest.raises(ConfigError, match=r"Redis 6\.0\.16 is too old; 7\.0 or newer"):
        check_redis(Server(redis_version="6.0.16"))


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_server_that_may_drop_keys_is_refused_with_the_cure(policy: str) -> None:
    """Volatile policies as well: jobs and events carry times to live."""
    with pytest.raises(ConfigError, match=f"{policy}.*config set maxmemory-policy noeviction"):
        check_redis(Server(maxmemory_policy=policy))


def test_a_server_that_is_not_there_is_a_clear_message() -> None:
    """One line, not a traceback of the client's."""
    with pytest.raises(ConfigError, match="REDIS_URL: the server cannot be reached"):
        check_redis(Redis(port=1, retry=Retry(NoBackoff(), 0)))


def test_a_server_that_hangs_is_waited_for_as_long_as_asked() -> None:
    """It takes connections, as a stopped process does, and says nothing: no second try takes as long again."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = connect(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", timeout=0.1)
        with client, pytest.raises(RedisTimeoutError):
            client.ping()
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
