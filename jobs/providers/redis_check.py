"""Whether a Redis or Valkey server can be trusted with our jobs: asked once, at the start of every process."""

from typing import Any

from redis import Redis
from redis.exceptions import AuthenticationError, RedisError

from config import ConfigError

MIN_VERSION = (7, 0)


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


def _info(redis: Redis) -> dict[str, Any]:
    try:
        return redis.info()
    except AuthenticationError:
        raise ConfigError("REDIS_URL: the server refuses its user or password.") from None
    except (RedisError, OSError) as error:
        raise ConfigError(f"REDIS_URL: the server cannot be reached ({error}).") from None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])
