"""Services: what the jobs and the web need, wired in one place."""

from dataclasses import dataclass

from pydantic import SecretStr
from redis import Redis

from config import Config
from jobs.domain.notifications import Channel
from jobs.domain.usage import Price, PriceTable
from jobs.providers.channels import Sender, build_channels
from jobs.providers.embedder import Embedder, build_embedder
from jobs.providers.llm import LanguageModel, build_language_model
from jobs.providers.model_gate import ModelGate
from jobs.providers.pages import PageReader
from jobs.providers.redis_check import connect
from jobs.providers.robots import Robots
from jobs.providers.safe_http import SafeClient
from jobs.providers.templates import EventTexts, load_events
from jobs.providers.web_search import WebSearch, build_web_search
from jobs.stores.blobs import BlobStore, build_blobs
from jobs.stores.canvases import CanvasStore
from jobs.stores.conversations import ConversationStore
from jobs.stores.database import Database
from jobs.stores.documents import DocumentStore
from jobs.stores.effects import EffectStore
from jobs.stores.exports import ExportStore
from jobs.stores.memories import MemoryStore
from jobs.stores.notifications import NotificationStore
from jobs.stores.requests import RequestStore
from jobs.stores.research import ResearchStore
from jobs.stores.search import SearchIndex
from jobs.stores.sessions import LogRules, SessionStore
from jobs.stores.usage import UsageStore
from jobs.stores.user_data import UserDataStore
from jobs.stores.user_stats import UserStatsStore
from jobs.stores.users import UserStore
from jobs.stores.work import WorkStore

ROBOTS_SECONDS = 5.0  # that a host may take to say what may be read of it


@dataclass(frozen=True)
class Services:
    """What the jobs and the web need. Nothing here connects before its first use."""

    config: Config
    redis: Redis
    database: Database
    blobs: BlobStore
    documents: DocumentStore
    search: SearchIndex
    embedder: Embedder
    llm: LanguageModel | None
    model_gate: ModelGate
    work: WorkStore
    requests: RequestStore
    effects: EffectStore
    conversations: ConversationStore
    sessions: SessionStore
    memories: MemoryStore
    user_stats: UserStatsStore
    user_data: UserDataStore
    exports: ExportStore
    usage: UsageStore
    canvases: CanvasStore
    users: UserStore
    notifications: NotificationStore
    channels: dict[Channel, Sender]
    event_texts: EventTexts
    research: ResearchStore
    web_search: WebSearch | None
    pages: PageReader

    def after_fork(self) -> None:
        """Let go of connections inherited from the parent process."""
        self.redis.connection_pool.reset()
        self.database.after_fork()


def build_services(config: Config, redis: Redis | None = None) -> Services:
    """Return the services that the settings ask for; `redis` takes the place of `REDIS_URL`'s."""
    database = Database(config.sqlalchemy_url)
    blobs = build_blobs(config.storage_url, config.data_dir)
    embedder = build_embedder(
        config.embedder, url=config.embedding_url, model=config.embedding_model, key=_plain(config.embedding_key)
    )
    search = SearchIndex(database, embedder)
    llm = build_language_model(
        config.llm_url,
        model=config.llm_model,
        key=_plain(config.llm_key),
        timeout=config.llm_timeout,
        connect_timeout=config.llm_connect_timeout,
    )
    usage = UsageStore(database, _prices(config))
    redis = connect(config.redis_url) if redis is None else redis
    return Services(
        config=config,
        redis=redis,
        database=database,
        blobs=blobs,
        documents=DocumentStore(database, blobs, search),
        search=search,
        embedder=embedder,
        llm=llm,
        model_gate=build_gate(redis, config),
        work=WorkStore(database),
        requests=RequestStore(database),
        effects=EffectStore(database),
        conversations=ConversationStore(database, usage, _log_rules(config)),
        sessions=SessionStore(database),
        memories=MemoryStore(database),
        user_stats=UserStatsStore(database),
        user_data=UserDataStore(database),
        exports=ExportStore(database),
        usage=usage,
        canvases=CanvasStore(database, limit=config.max_canvases, max_bytes=config.max_canvas_bytes),
        users=UserStore(database),
        notifications=NotificationStore(database),
        channels=build_channels(
            _plain(config.mail_url),
            config.mail_from,
            _plain(config.sms_url),
            _plain(config.push_url),
            config.channel_timeout,
        ),
        event_texts=load_events(config.events_dir),
        research=ResearchStore(database),
        web_search=build_web_search(
            config.web_search_url, key=_plain(config.web_search_key), timeout=config.web_timeout
        ),
        pages=build_pages(redis, config),
    )


def build_pages(redis: Redis, config: Config) -> PageReader:
    """Return the reader of web pages."""
    private, agent = config.web_allow_private, config.web_user_agent
    robots = Robots(SafeClient(timeout=min(ROBOTS_SECONDS, config.web_timeout), allow_private=private), redis, agent)
    client = SafeClient(timeout=config.web_timeout, allow_private=private)
    return PageReader(client, robots, agent=agent, max_bytes=config.web_page_bytes)


def build_gate(redis: Redis, config: Config) -> ModelGate:
    """Return the gate in front of the configured model."""
    return ModelGate(
        redis,
        config.llm_url,
        limit=config.agent_concurrency,
        failures=config.breaker_failures,
        rest=config.breaker_seconds,
    )


def _log_rules(config: Config) -> LogRules:
    return LogRules(config.chat_soft_limit, config.chat_memory_exchanges, config.chat_analysis != "off")


def _prices(config: Config) -> PriceTable:
    prices = {model: Price(price.input, price.output) for model, price in config.model_prices.items()}
    return PriceTable(prices, config.price_currency)


def _plain(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""
