"""Notifications over HTTP: what is accepted, what is refused, what became of it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from jobs.domain.notifications import CHANNELS, Channel
from jobs.providers.channels import (
    AddressRefused,
    ChannelMisconfigured,
    OutcomeUncertain,
    Outgoing,
    Sender,
)
from jobs.providers.errors import ProviderUnavailable
from jobs.providers.templates import load_events
from jobs.services import Services
from tests.fakes import make_due, run_jobs
from tests.unit.webapp.conftest import ACME, OTHER
from webapp import create_app

NOTIFY = {
    "user_id": 1,
    "email": "user@example.com",
    "phone": "+86 138 0000 0000",
    "notification_types": ["email", "sms", "push"],
    "subject": "测试通知",
    "message": "这是一条测试消息",
}
ORDER = {
    "user_id": 1,
    "email": "user@example.com",
    "phone": "+86 138 0000 0000",
    "event_type": "order_created",
    "context": {"order_id": "12345"},
}


class Recorder:
    """A channel that keeps what it is given; `answers` are what it raises, in turn."""

    provider = "test"
    takes_key = False

    def __init__(self) -> None:
        self.sent: list[tuple[Outgoing, str]] = []
        self.answers: list[Exception] = []

    def send(self, message: Outgoing, key: str) -> str:
        if self.answers:
            raise self.answers.pop(0)
        self.sent.append((message, key))
        return f"id-{len(self.sent)}"


@pytest.fixture
def channels() -> dict[Channel, Recorder]:
    return {channel: Recorder() for channel in CHANNELS}


@pytest.fixture
def services(local_services: Services, channels: dict[Channel, Sender]) -> Services:
    return replace(local_services, channels=channels)


@pytest.fixture
def web(services: Services) -> FlaskClient:
    return create_app(services=services).test_client()


@pytest.fixture
def outcome(web: FlaskClient) -> Callable[[Any], dict[str, tuple[str, str | None]]]:
    """Return state and reason of a 202's notification, by channel."""

    def look(accepted: Any) -> dict[str, tuple[str, str | None]]:
        assert accepted.status_code == 202, accepted.get_json()
        found = web.get(accepted.headers["Location"]).get_json()
        return {each["channel"]: (each["state"], each["reason"]) for each in found["deliveries"]}

    return look


def test_the_seeds_request_goes_out_by_three_channels(
    web: FlaskClient, services: Services, channels: dict[Channel, Recorder], outcome: Any
) -> None:
    """The answer is the seed's; each channel is a job of its own; numbers go out as E.164."""
    accepted = web.post("/notify", json=NOTIFY)
    said = accepted.get_json()
    assert (said["message"], said["user_id"]) == ("通知任务已提交", 1)
    assert said["notification_types"] == ["email", "sms", "push"]
    assert set(outcome(accepted).values()) == {("queued", None)}
    run_jobs(services)
    assert outcome(accepted) == dict.fromkeys(("email", "sms", "push"), ("sent", None))
    assert [channels[each].sent[0][0].to for each in CHANNELS] == ["user@example.com", "+8613800000000", "1"]
    assert channels["email"].sent[0][0].subject == "测试通知"


def test_without_settings_messages_stay_in_the_outbox_and_say_so(local: FlaskClient, local_services: Services) -> None:
    accepted = local.post("/notify", json=NOTIFY)
    run_jobs(local_services)
    found = local.get(accepted.headers["Location"]).get_json()["deliveries"]
    assert {(each["state"], each["reason"], each["provider"]) for each in found} == {("sent", "outbox", "outbox")}
    assert {each["text"] for each in found} == {"这是一条测试消息"}
    assert set(map(str, local.get("/channels").get_json()["channels"].values())) == {"{'state': 'outbox'}"}


@pytest.mark.parametrize(
    ("language", "said"), [("zh", "您的订单已创建，订单号：12345"), ("en", "Its number is 12345.")]
)
def test_an_event_is_told_in_the_users_language(
    web: FlaskClient, services: Services, channels: dict[Channel, Recorder], language: str, said: str
) -> None:
    web.put("/users/1/preferences", json={"language": language})
    accepted = web.post("/notify/event", json=ORDER).get_json()
    assert (accepted["message"], accepted["event_type"]) == ("事件通知已提交", "order_created")
    run_jobs(services)
    [(mail, _)] = channels["email"].sent
    assert said in mail.text
    assert mail.html
    assert "<b>12345</b>" in mail.html


def test_what_a_context_holds_is_data(web: FlaskClient, services: Services, channels: dict[Channel, Recorder]) -> None:
    """Neither a template nor HTML nor a header."""
    for nasty in ("{{ 7*7 }}", "{u.__init__.__globals__}", "<script>x</script>"):
        web.post("/notify/event", json=ORDER | {"context": {"order_id": nasty}})
    run_jobs(services)
    texts = [mail.text for mail, _ in channels["email"].sent]
    assert any("{{ 7*7 }}" in text for text in texts)
    assert not any("<script>" in (mail.html or "") for mail, _ in channels["email"].sent)
    assert not any("\n" in mail.subject for mail, _ in channels["email"].sent)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": "a@b.com\r\nBcc: x@y.com"}, "email"),
        ({"phone": "138"}, "phone"),
        ({"phone": "+86 1"}, "phone"),
        ({"subject": "x\r\nBcc: x@y.com"}, "subject"),
        ({"subject": "x" * 201}, "subject"),
        ({"message": "x" * 100_001}, "message"),
        ({"message": "x" * 1_001}, "message"),  # too long for an SMS
        ({"notification_types": ["fax"]}, "notification_types.0"),
        ({"notification_types": []}, "notification_types"),
        ({"user_id": ""}, "user_id"),
        ({"user_id": True}, "user_id"),
        ({"tenant": "other"}, "tenant"),
    ],
)
def test_a_bad_request_names_its_field(web: FlaskClient, change: dict[str, Any], field: str) -> None:
    """And nothing is sent."""
    answer = web.post("/notify", json=NOTIFY | change)
    assert answer.status_code == 422
    assert field in [problem["field"] for problem in answer.get_json()["errors"]]
    assert web.get("/notifications").get_json()["notifications"] == []


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"event_type": "nothing"}, "unknown_event", "event_type"),
        ({"context": {}}, "bad_context", "context.order_id"),
        ({"context": {"order_id": "1", "more": "2"}}, "bad_context", "context.more"),
        ({"context": {"order_id": ["1"]}}, "bad_context", "context.order_id"),
        ({"context": {"order_id": "x" * 1001}}, "bad_context", "context.order_id"),
    ],
)
def test_a_context_that_does_not_fit_is_a_422_that_names_the_key(
    web: FlaskClient, change: dict[str, Any], code: str, field: str
) -> None:
    answer = web.post("/notify/event", json=ORDER | change).get_json()
    assert (answer["status"], answer["code"], answer["errors"][0]["field"]) == (422, code, field)


def test_a_user_registers_once_and_is_welcomed_once(
    web: FlaskClient, services: Services, channels: dict[Channel, Recorder]
) -> None:
    """By mail and push; the same address again is the same user; another user's id is a 409."""
    first = web.post("/register", json={"email": "Ada@example.com", "name": "埃达"})
    assert (first.status_code, first.get_json()["status"]) == (202, "ok")
    again = web.post("/register", json={"email": "Ada@example.com"})
    assert (again.status_code, again.get_json()["user_id"]) == (200, first.get_json()["user_id"])
    run_jobs(services)
    assert [len(channels[each].sent) for each in CHANNELS] == [1, 0, 1]
    assert channels["email"].sent[0][0].subject == "欢迎注册"
    taken = web.post("/register", json={"email": "bob@example.com", "user_id": first.get_json()["user_id"]})
    assert (taken.status_code, taken.get_json()["code"]) == (409, "user_exists")


def test_one_channels_failure_neither_hides_nor_repeats_another(
    web: FlaskClient, services: Services, channels: dict[Channel, Recorder], outcome: Any
) -> None:
    channels["sms"].answers = [AddressRefused("No such number.")]
    channels["push"].answers = [OutcomeUncertain()]
    accepted = web.post("/notify", json=NOTIFY)
    run_jobs(services)
    assert outcome(accepted) == {
        "email": ("sent", None),
        "sms": ("failed", "address_refused"),
        "push": ("unknown", "outcome_unknown"),
    }
    make_due(services)
    run_jobs(services)
    assert [len(channels[each].sent) for each in CHANNELS] == [1, 0, 0]


def test_what_can_get_better_is_tried_again(
    web: FlaskClient, services: Services, channels: dict[Channel, Recorder], outcome: Any
) -> None:
    channels["email"].answers = [ProviderUnavailable(), ProviderUnavailable()]
    accepted = web.post("/notify", json=NOTIFY | {"notification_types": ["email"]})
    for expected in ("queued", "queued", "sent"):
        run_jobs(services)
        assert outcome(accepted)["email"][0] == expected
        make_due(services)
    assert len(channels["email"].sent) == 1


def test_a_refused_login_stops_the_channel_and_not_the_message(
    web: FlaskClient, services: Services, channels: dict[Channel, Recorder], outcome: Any
) -> None:
    """One try for all messages; it says why; resumed, all go out."""
    channels["email"].answers = [ChannelMisconfigured("The mail server refuses the login (535).")] * 2
    sent = [web.post("/notify", json=NOTIFY | {"notification_types": ["email"]}) for _ in range(5)]
    run_jobs(services)
    assert len(channels["email"].answers) == 1
    state = web.get("/channels").get_json()["channels"]["email"]
    assert (state["state"], state["reason"]) == ("stopped", "The mail server refuses the login (535).")
    channels["email"].answers = []
    assert web.post("/channels/email/resume").get_json()["state"] == "ready"
    make_due(services)
    run_jobs(services)
    assert [outcome(each)["email"][0] for each in sent] == ["sent"] * 5


def test_wishes_are_kept_and_seen_in_the_outcome(web: FlaskClient, services: Services, outcome: Any) -> None:
    """A channel off, an event off, no address."""
    web.put("/users/1/preferences", json={"channels": {"push": False}, "events": {"order_created": False}})
    assert set(outcome(web.post("/notify/event", json=ORDER)).values()) >= {("skipped", "event_off")}
    plain = outcome(web.post("/notify", json=NOTIFY | {"phone": None}))
    assert plain["push"] == ("skipped", "channel_off")
    assert plain["sms"] == ("skipped", "no_address")
    assert plain["email"] == ("queued", None)


def test_quiet_hours_hold_back_what_is_not_urgent(
    web: FlaskClient, services: Services, channels: dict[Channel, Recorder], outcome: Any
) -> None:
    now = datetime.now(UTC)
    quiet = {"start": f"{now - timedelta(hours=1):%H:%M}", "end": f"{now + timedelta(hours=1):%H:%M}"}
    web.put("/users/1/preferences", json={"quiet_hours": quiet})
    held = web.post("/notify/event", json=ORDER)
    urgent = web.post("/notify/event", json=ORDER | {"event_type": "payment_success", "context": {"amount": "￥9"}})
    run_jobs(services)
    assert set(outcome(held).values()) == {("queued", "quiet_hours")}
    assert set(outcome(urgent).values()) == {("sent", None)}
    make_due(services)
    run_jobs(services)
    assert set(outcome(held).values()) == {("sent", None)}


def test_a_throttle_caps_messages_an_hour(services: Services, outcome: Any, channels: dict[Channel, Recorder]) -> None:
    capped = replace(services, config=services.config.model_copy(update={"notification_hourly_limit": 2}))
    web = create_app(services=capped).test_client()
    mails = [web.post("/notify", json=NOTIFY | {"notification_types": ["email"]}) for _ in range(3)]
    assert [outcome(each)["email"] for each in mails] == [("queued", None)] * 2 + [("skipped", "throttled")]


def test_those_of_a_kind_within_a_window_go_out_as_one(
    services: Services, channels: dict[Channel, Recorder], outcome: Any, tmp_path: Path
) -> None:
    """A digest: the first waits until the window is over, the others go with it; another user's is another one."""
    folder = tmp_path / "comment_added"
    (folder / "zh").mkdir(parents=True)
    (folder / "en").mkdir()
    (folder / "event.toml").write_text('channels = ["email"]\ndigest_seconds = 600\n[context]\ntext = "text"\n')
    for language in ("zh", "en"):
        (folder / language / "subject.txt").write_text("新评论", encoding="utf-8")
        (folder / language / "body.txt").write_text("评论：{{ text }}", encoding="utf-8")
    web = create_app(services=replace(services, event_texts=load_events(tmp_path))).test_client()
    comment = {"user_id": 1, "email": "a@example.com", "event_type": "comment_added"}
    mine = [web.post("/notify/event", json=comment | {"context": {"text": str(n)}}) for n in range(3)]
    other = web.post("/notify/event", json=comment | {"user_id": 2, "email": "b@example.com", "context": {"text": "x"}})
    run_jobs(services)
    assert [outcome(each)["email"] for each in (*mine, other)] == [("queued", "digest")] * 4
    make_due(services)
    run_jobs(services)
    assert [outcome(each)["email"][0] for each in (*mine, other)] == ["sent"] * 4
    texts = {mail.to: (mail.subject, mail.text) for mail, _ in channels["email"].sent}
    assert len(channels["email"].sent) == 2
    assert texts["a@example.com"] == ("新评论 (3)", "1. 评论：0\n\n2. 评论：1\n\n3. 评论：2")
    assert texts["b@example.com"] == ("新评论", "评论：x")


def test_notifications_are_listed_in_pages_and_by_filter(web: FlaskClient, services: Services) -> None:
    for user in (1, 2, 1):
        web.post("/notify", json=NOTIFY | {"user_id": user})
    web.post("/notify/event", json=ORDER)
    run_jobs(services)
    first = web.get("/notifications?limit=3").get_json()
    rest = web.get(f"/notifications?limit=3&cursor={first['next_cursor']}").get_json()
    assert [len(page["notifications"]) for page in (first, rest)] == [3, 1]
    assert len(web.get("/notifications?user_id=1").get_json()["notifications"]) == 3
    assert len(web.get("/notifications?event=order_created").get_json()["notifications"]) == 1
    assert web.get("/notifications?state=failed").get_json()["notifications"] == []
    assert web.get("/notifications?state=nonsense").status_code == 422


def test_another_tenants_notification_is_none(keyed: FlaskClient) -> None:
    mine, theirs = ({"Authorization": f"Bearer {key}"} for key in (ACME, OTHER))
    made = keyed.post("/notify", json=NOTIFY, headers=mine).headers["Location"]
    assert keyed.get(made, headers=mine).status_code == 200
    assert keyed.get(made, headers=theirs).status_code == 404
    keyed.put("/users/1/preferences", json={}, headers=mine)
    assert keyed.get("/users/1/preferences", headers=theirs).status_code == 404


def test_no_address_and_no_text_stands_in_redis(web: FlaskClient, services: Services) -> None:
    """Neither while it waits, nor after it was sent."""
    for do in (lambda: None, lambda: run_jobs(services)):
        web.post("/notify", json=NOTIFY)
        do()
        for key in services.redis.scan_iter("*"):
            dumped = services.redis.dump(key) or b""
            for secret in ("user@example.com", "13800000000", "测试", "这是一条"):
                assert secret.encode() not in dumped


def test_the_same_key_sends_once(web: FlaskClient, services: Services, channels: dict[Channel, Recorder]) -> None:
    for _ in range(2):
        web.post("/notify", json=NOTIFY, headers={"Idempotency-Key": "k"})
        services.requests.purge(2**33)  # the kept answer is lost
    run_jobs(services)
    assert [len(channels[each].sent) for each in CHANNELS] == [1, 1, 1]


def test_deliveries_stand_in_one_order_and_a_skipped_one_names_no_task(local: FlaskClient) -> None:
    """A task that is none would be a link to nowhere."""
    sent = local.post(
        "/notify", json=NOTIFY | {"notification_types": ["push", "sms", "email"], "phone": None}
    ).get_json()
    assert [(each["channel"], each["task_id"] is None) for each in sent["deliveries"]] == [
        ("email", False),
        ("sms", True),
        ("push", False),
    ]
