"""Sessions that are logged and analyzed at the same time, on both databases."""

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import insert

from jobs.domain.analysis import Analysis
from jobs.stores.conversations import ConversationStore, waiting
from jobs.stores.database import Database
from jobs.stores.schema import pending_conversations
from jobs.stores.sessions import SessionStore
from jobs.stores.usage import UsageStore
from tests.fakes import PRICES
from tests.unit.stores.test_conversations import said

ANALYSIS = Analysis(topics=["假期"], sentiment="neutral", open_questions=[])
SESSIONS, ROUNDS = 50, 15


def test_neither_waits_for_the_other_in_a_circle(database: Database) -> None:
    """Each takes many sessions in one transaction: in the same order, in whichever they have come."""
    store, sessions = ConversationStore(database, UsageStore(database, PRICES)), SessionStore(database)

    def accept() -> None:
        new = [waiting(said(session_id=f"s{number:02}")) for number in reversed(range(SESSIONS))]
        with database.write() as connection:
            connection.execute(insert(pending_conversations), new)

    def log() -> None:
        for _ in range(ROUNDS):
            accept()
            store.log("a")

    accept()
    store.log("a")
    claimed = sorted(sessions.claim("a", "job", SESSIONS), key=lambda each: each.key, reverse=True)
    with ThreadPoolExecutor(2) as pool:
        logging = pool.submit(log)
        while not logging.done():
            sessions.keep_analyses((each, ANALYSIS, "small") for each in claimed)
        logging.result()
    assert sum(each.exchanges for each in sessions.list("a", "1", limit=SESSIONS)) == SESSIONS * (ROUNDS + 1)
