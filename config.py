"""Every setting, read from the environment once and checked.

Importing this module reads nothing and connects nothing. `load_config()` names every bad setting in one error.
"""

import ipaddress
import json
from base64 import b64decode
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

QUEUES = ("high", "default", "low")
LOCAL_TENANT = "local"
_HEX = set("0123456789abcdef")


class ConfigError(Exception):
    """A setting is missing or wrong; the message says which, and how to mend it."""


class ModelPrice(BaseModel):
    """What a model costs for a million tokens: those it reads, those it writes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Decimal = Field(ge=0, le=100_000, decimal_places=4)
    output: Decimal = Field(ge=0, le=100_000, decimal_places=4)


class Config(BaseSettings):
    """The settings. Field names are the environment variables, in lower case."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    # Where things are
    data_dir: Path = Field(default=Path("var"), description="Folder for everything that we keep on this machine.")
    redis_url: str = Field(
        default="", description="Redis or Valkey, `redis://` or `rediss://`. Empty: an embedded server is started."
    )
    database_url: str = Field(default="", description="SQLAlchemy or Heroku URL. Empty: SQLite under `DATA_DIR`.")
    storage_url: str = Field(default="", description="`file://`, `s3://`, `gs://`, `az://`. Empty: under `DATA_DIR`.")

    # Web
    host: str = Field(default="", description="Address to listen on. Empty: 0.0.0.0 with API_KEYS, else 127.0.0.1.")
    port: int = Field(default=8000, ge=1, le=65535, description="Port to listen on.")
    web_concurrency: int = Field(default=2, ge=1, le=64, description="Web processes.")
    api_keys: Annotated[dict[str, str], NoDecode] = Field(
        default_factory=dict,
        description="`sha256-of-key:tenant`, comma-separated. Empty: one tenant, on loopback only.",
    )
    dashboard_password: SecretStr | None = Field(
        default=None, description="Password of the user `admin` at `/rq`. Empty: `/rq` answers 404."
    )
    max_upload_bytes: int = Field(default=50 * 2**20, ge=1024, description="Largest document taken, in bytes.")
    max_json_bytes: int = Field(default=2**20, ge=1024, description="Largest JSON body taken, in bytes.")
    max_batch_bytes: int = Field(
        default=16 * 2**20, ge=1024, description="Largest body of `POST /batches` and `POST /agents/batch`, in bytes."
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Sites whose pages may use the API, `https://app.example.com`, comma-separated. `*`: all.",
    )
    max_canvas_bytes: int = Field(default=4 * 2**20, ge=1024, description="Largest canvas taken, in bytes.")
    max_streams: int = Field(
        default=1000,
        ge=1,
        description="Event streams open at once in a web process; a tenant may have half, if there are others.",
    )

    # Jobs
    max_task_age_hours: int = Field(default=168, ge=1, description="Hours that an ended job and its events are kept.")
    worker_ttl: int = Field(default=20, ge=5, description="Seconds after which a silent worker is taken for dead.")
    worker_concurrency: int = Field(
        default=2, ge=1, le=64, description="Worker processes that `make run` starts; a platform scales them itself."
    )
    lower_queue_share: int = Field(
        default=10, ge=0, description="Every so many jobs of a worker's slot a lower queue comes first. 0: never."
    )
    shutdown_seconds: int = Field(
        default=25, ge=0, description="Seconds from SIGTERM until a worker puts back what still runs. 0: it waits."
    )
    isolated_memory_mb: int = Field(
        default=1024, ge=128, description="Memory of an isolated job's process, in MiB, on top of what it starts with."
    )
    max_events: int = Field(default=10_000, ge=10, description="Events kept of one job; the oldest go first.")
    max_events_bytes: int = Field(
        default=8 * 2**20, ge=2**20, description="Bytes of events kept of one job; the oldest go first."
    )
    isolated_cpu_seconds: int = Field(default=120, ge=1, description="CPU time of an isolated job, in seconds.")

    schedules_file: str = Field(
        default="", description="TOML file with schedules of the service's own, read when a scheduler starts."
    )

    # Webhooks
    webhook_secret: SecretStr | None = Field(
        default=None,
        description="Signs webhooks: `whsec_` and Base64; each tenant's own is made of it. Two, by a comma: new, old.",
    )
    webhook_timeout: float = Field(default=15.0, gt=0, le=50, description="Seconds that one delivery may take.")
    webhook_allow_private: bool = Field(
        default=False, description="Webhooks to private addresses and any port, for tests and private networks."
    )

    # Chat
    chat_context_chars: int = Field(
        default=12_000, ge=0, description="Characters of the conversation so far that a model is told."
    )
    chat_max_tokens: int = Field(default=1024, ge=1, description="Tokens of one answer, at most.")
    chat_soft_limit: int = Field(
        default=100, ge=0, description="Conversations after which a user is notified, once. 0: never."
    )
    chat_daily_conversations: int = Field(
        default=0, ge=0, description="Conversations that a user may have a day (UTC). 0: no limit."
    )
    chat_daily_tokens: int = Field(default=0, ge=0, description="Tokens that a user may use a day (UTC). 0: no limit.")
    chat_memory_exchanges: int = Field(
        default=10,
        ge=0,
        description="Exchanges of a session after which they are summed up into the user's memory. 0: only when asked.",
    )
    chat_memory_chars: int = Field(
        default=2000, ge=0, description="Characters of the user's memory that an answer may rest on. 0: none."
    )
    memory_facts: int = Field(default=200, ge=1, description="Facts kept of one user; the oldest go first.")
    chat_analysis: Literal["model", "built-in", "off"] = Field(
        default="model",
        description="Who analyzes conversations: `model`, where there is one, `built-in`, or `off`.",
    )
    chat_analysis_seconds: int = Field(default=10, ge=1, description="Seconds of chats that one analysis covers.")
    export_hours: int = Field(
        default=24, ge=1, description="Hours that an export of a user's data can be fetched; then it is deleted."
    )

    # Notifications
    mail_url: SecretStr | None = Field(
        default=None,
        description="Mail server, `smtp://user:password@host:587` or `smtps://`. Empty: the local outbox.",
    )
    mail_from: str = Field(default="", description="Sender of mail, `Name <address>`; needed with MAIL_URL.")
    sms_url: SecretStr | None = Field(
        default=None,
        description="SMS: `twilio://SID:TOKEN@api.twilio.com?from=+1555...`, or `https://` for any service that takes "
        "JSON. Empty: the outbox.",
    )
    push_url: SecretStr | None = Field(
        default=None, description="Push: `ntfy://TOKEN@host/prefix-`, or `https://` as for SMS. Empty: the outbox."
    )
    channel_timeout: float = Field(
        default=15.0, gt=0, le=60, description="Seconds that one word of a channel may take."
    )
    events_dir: Path | None = Field(default=None, description="Folder with events of your own, beside those shipped.")
    notification_hourly_limit: int = Field(
        default=60, ge=0, description="Messages a user gets by one channel in an hour, urgent ones apart. 0: no limit."
    )
    notification_days: int = Field(default=90, ge=1, description="Days that notifications are kept.")

    # Research
    web_search_url: str = Field(default="", description="Base URL of a SearXNG with its JSON form on. Empty: none.")
    web_search_key: SecretStr | None = Field(default=None, description="Bearer key for WEB_SEARCH_URL.")
    web_timeout: float = Field(default=15.0, gt=0, le=60, description="Seconds that a search, or a page, may take.")
    web_page_bytes: int = Field(default=2 * 2**20, ge=1024, description="Bytes that are read of a page, unpacked.")
    web_user_agent: str = Field(default="OffstageBot/0.1", description="As whom pages are read, as for robots.txt.")
    web_allow_private: bool = Field(default=False, description="Pages at private addresses and any port, for tests.")
    pdf_font: str = Field(default="", description="TrueType file with Chinese, for PDFs. Empty: the reader's own.")
    research_searches: int = Field(default=4, ge=1, le=20, description="Searches of one research at once.")

    # Documents
    pdf_engine: Literal["pypdf", "pdfium"] = Field(default="pypdf", description="`pypdf` or `pdfium`.")
    max_pages: int = Field(default=5000, ge=1, description="Pages taken from one document.")

    # Canvases
    max_canvases: int = Field(default=1000, ge=1, description="Canvases that a tenant may have.")
    deleted_canvas_days: int = Field(default=30, ge=1, description="Days for which a deleted canvas can be restored.")

    # Models
    embedder: Literal["use", "openai"] = Field(default="use", description="`use`, or `openai` for EMBEDDING_URL.")
    embedding_url: str = Field(default="", description="Base URL of an OpenAI-compatible `/v1/embeddings`.")
    embedding_model: str = Field(default="", description="Model name sent to EMBEDDING_URL.")
    embedding_key: SecretStr | None = Field(default=None, description="Bearer key for EMBEDDING_URL.")
    llm_url: str = Field(
        default="", description="Base URL of an OpenAI-compatible `/v1/chat/completions`. Empty: none."
    )
    llm_model: str = Field(default="", validate_default=True, description="Model name sent to LLM_URL.")
    llm_key: SecretStr | None = Field(default=None, description="Bearer key for LLM_URL.")
    llm_timeout: float = Field(default=60.0, gt=0, description="Seconds that one model call may take in all.")
    llm_connect_timeout: float = Field(default=10.0, gt=0, description="Seconds in which LLM_URL is to be reached.")
    agent_concurrency: int = Field(
        default=12, ge=1, le=1000, description="Model calls of jobs at once, over all workers of all machines."
    )
    breaker_failures: int = Field(
        default=5, ge=1, description="Failures in a row of LLM_URL after which jobs leave it alone for a while."
    )
    breaker_seconds: float = Field(
        default=60.0,
        gt=0,
        description="Seconds for which it is left alone; then one call tries it, and the others wait.",
    )
    model_prices: Annotated[dict[str, ModelPrice], NoDecode] = Field(
        default_factory=dict,
        description='Prices by model for a million tokens, JSON: `{"name": {"input": 0.15, "output": 0.6}}`.',
    )
    price_currency: str = Field(default="USD", pattern="^[A-Z]{3}$", description="Currency of MODEL_PRICES.")
    usage_days: int = Field(
        default=90, ge=1, description="Days that single model calls are kept; the sums of their days stay."
    )

    @field_validator("api_keys", mode="before")
    @classmethod
    def _parse_api_keys(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        keys: dict[str, str] = {}
        for entry in filter(None, (part.strip() for part in value.split(","))):
            digest, _, tenant = entry.partition(":")
            if len(digest) != 64 or not set(digest.lower()) <= _HEX or not _is_tenant(tenant):
                raise ValueError("each entry is <64 hex digits of SHA-256>:<tenant>; `make key` prints one")
            keys[digest.lower()] = tenant
        return keys

    @field_validator("model_prices", mode="before")
    @classmethod
    def _parse_prices(cls, value: Any) -> Any:
        try:
            return json.loads(value) if isinstance(value, str) else value
        except ValueError:
            raise ValueError('must be JSON, as in {"name": {"input": 0.15, "output": 0.6}}') from None

    @field_validator("llm_url", "embedding_url", "web_search_url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        if value and (urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname):
            raise ValueError("must begin with http:// or https:// and name a host")
        return value

    @field_validator("llm_model")
    @classmethod
    def _check_model(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("llm_url") and not value:
            raise ValueError("name the model that LLM_URL is to answer with")
        return value

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _parse_origins(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        origins = tuple(origin.strip().rstrip("/").lower() for origin in value.split(",") if origin.strip())
        for origin in origins:
            if origin != "*" and not _is_origin(origin):
                raise ValueError("each entry is a scheme and a host, as in https://app.example.com, or `*`")
        return origins

    @model_validator(mode="after")
    def _guard_origins(self) -> Self:
        if "*" in self.cors_origins and not self.api_keys:
            raise ValueError("CORS_ORIGINS=* without API_KEYS would let every web page use this service")
        return self

    @field_validator("webhook_secret")
    @classmethod
    def _check_webhook_secret(cls, value: SecretStr | None) -> SecretStr | None:
        for secret in value.get_secret_value().split(",") if value else ():
            if not _is_webhook_secret(secret.strip()):
                raise ValueError("a secret is `whsec_` and the Base64 of 24 to 64 random bytes")
        return value

    @property
    def sqlalchemy_url(self) -> str:
        """The database URL with the driver that we ship: psycopg 3 for PostgreSQL."""
        if not self.database_url:
            return f"sqlite:///{self.data_dir / 'offstage.db'}"
        scheme, _, rest = self.database_url.partition("://")
        return f"postgresql+psycopg://{rest}" if scheme in ("postgres", "postgresql") else self.database_url

    @property
    def bind_host(self) -> str:
        """The address to listen on when none was given."""
        return self.host or ("0.0.0.0" if self.api_keys else "127.0.0.1")  # noqa: S104 - keys guard it

    @property
    def tenant_streams(self) -> int:
        """Event streams that one tenant may have open in a web process: half of them, where there are others."""
        return self.max_streams if len(set(self.api_keys.values())) <= 1 else max(1, self.max_streams // 2)

    @property
    def result_ttl(self) -> int:
        """Seconds that an ended job is kept."""
        return self.max_task_age_hours * 3600

    def check_bind(self, host: str) -> None:
        """Refuse to serve an open API on an address that others can reach.

        Raises:
            ConfigError: `host` is not loopback and no API keys are set.
        """
        if not self.api_keys and not _is_loopback(host):
            raise ConfigError(
                f"Refusing to listen on {host} without API keys: anyone who reaches it could use it. "
                "Set API_KEYS (`make key` prints a key and its entry), or listen on 127.0.0.1."
            )


def load_config(**overrides: Any) -> Config:
    """Return the settings of this process.

    Raises:
        ConfigError: naming every setting that is missing or wrong.
    """
    try:
        return Config(**overrides)
    except ValidationError as error:
        problems = "\n".join(
            f"  {_setting(e['loc'])}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()
        )
        raise ConfigError(f"Bad settings:\n{problems}") from None


def _setting(place: tuple[int | str, ...]) -> str:
    """Return a setting as it is named in the environment, with the place inside of it; `TOGETHER` of several."""
    name, *inside = map(str, place or ("together",))
    return ".".join([name.upper(), *inside])


def _is_tenant(name: str) -> bool:
    return 0 < len(name) <= 64 and name.replace("-", "").replace("_", "").isalnum() and name.isascii()


def _is_webhook_secret(text: str) -> bool:
    try:
        return text.startswith("whsec_") and 24 <= len(b64decode(text[6:], validate=True)) <= 64
    except ValueError:
        return False


def _is_origin(text: str) -> bool:
    parts = urlsplit(text)
    return parts.scheme in ("http", "https") and bool(parts.netloc) and text == f"{parts.scheme}://{parts.netloc}"


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.startswith("unix:"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
