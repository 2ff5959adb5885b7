"""Whether a Redis or Valkey server can be trusted with our jobs: asked once, at the start of every process."""

from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from config import ConfigError

MIN_VERSION = (7, 0)
TIMEOUT = 5.0  # seconds: a worker has time, and would rather wait than do something twice
WEB_TIMEOUT = 2.0  # a client waits meanwhile, and what it asked for is accepted without Redis
UNSET_URL = "redis://127.0.0.1:6379/0"


def check_redis(redis: Redis) -> str:
    """Return the server's name and version, such as `Valkey 9.1.2`, if it is fit for jobs.

    Asks `INFO`, which managed services answer too, and not `CONFIG`, which many of them refuse.

    Raises:
        ConfigError: it cannot be reached, is too old, or may drop keys when its memory is full.
    """
    info = _info(redis)
    name = "Valkey" if info.get("server_name") == "valkey" else "Redis"
    version = str(info.get("valkey_version") or info["redis_version"])
    if _numbers(info["redis_version"]) < MIN_VERSION:  # Valkey states the Redis version that it equals
        needed = ".".join(map(str, MIN_VERSION))
        raise ConfigError(f"REDIS_URL: {name} {version} is too old; {needed} or newer is needed (any Valkey will do).")
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise ConfigError(
            f"REDIS_URL: the server's maxmemory-policy is {policy}: with its memory full it would drop jobs that were "
            "promised. Set it to noeviction (`redis-cli config set maxmemory-policy noeviction`; on Heroku "
            "`heroku redis:maxmemory --policy noeviction`)."
        )
    return f"{name} {version}"


def check_redis_url(url: str) -> str:
    """Look at the server of `REDIS_URL` once, without the patience of a running service. Raises as `check_redis`."""
    if not url:
        raise ConfigError(
            "REDIS_URL is not set. `make run` starts a server of its own; "
            "or name one, such as redis://127.0.0.1:6379/0."
        )
    try:
        client = Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_timeout=5.0, **tls_options(url))
    except ValueError as error:
        raise ConfigError(f"REDIS_URL: {error}") from None
    with client:
        return check_redis(client)


def connect(url: str, *, timeout: float = TIMEOUT) -> Redis:
    """Return a client of `REDIS_URL` for a running service. Connects nothing.

    `timeout` is how many seconds it waits for a connection, and for each answer; a blocking read must ask for less.
    With one under `TIMEOUT` it tries no more than twice: somebody waits for an answer.
    """
    options: dict[str, Any] = {"socket_timeout": timeout, "socket_connect_timeout": timeout, **tls_options(url)}
    if timeout < TIMEOUT:
        options["retry"] = Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
    return Redis.from_url(url or UNSET_URL, **options)


def tls_options(url: str) -> dict[str, Any]:
    """Return how a client connects to `rediss://`: encrypted, with whatever certificate the server shows.

    Heroku's servers show certificates that they have signed themselves. `?ssl_cert_reqs=required` in the URL, which
    goes before these options, demands a good one.
    """
    return {"ssl_cert_reqs": "none", "ssl_check_hostname": False} if url.startswith("rediss://") else {}


def _info(redis: Redis) -> dict[str, Any]:
    try:
        return redis.info()
    except AuthenticationError:
        raise ConfigError("REDIS_URL: the server refuses its user or password.") from None
    except (RedisError, OSError) as error:
        raise ConfigError(f"REDIS_URL: the server cannot be reached ({error}).") from None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])
