"""Texts of events: read from folders, checked when they are read, written in a sandbox."""

from pathlib import Path

import pytest

from config import ConfigError
from jobs.domain.notifications import BadContext, UnknownEvent
from jobs.providers.templates import MAX_OUTPUT_CHARS, EventTexts, load_events

EVENT = 'channels = ["email", "sms"]\n[context]\nname = "text"\ncount = "number"\n'
TEXTS = {"subject.txt": "{{ name }}", "body.txt": "{{ name }}: {{ count }}", "sms.txt": "{{ count }}"}


def write(folder: Path, event: str = EVENT, **texts: str) -> Path:
    """Write an event `shipped` into a folder, in both languages."""
    for language in ("zh", "en"):
        (folder / "shipped" / language).mkdir(parents=True, exist_ok=True)
        for name, text in {**TEXTS, **texts}.items():
            (folder / "shipped" / language / name).write_text(text, encoding="utf-8")
    (folder / "shipped" / "event.toml").write_text(event)
    return folder


def said(texts: EventTexts, **context: object) -> str:
    return texts.render(texts.event("shipped"), "en", {"name": "x", "count": 1} | context)["email"].text


def test_a_new_event_is_a_new_folder(tmp_path: Path) -> None:
    """Beside those that come with the service."""
    texts = load_events(write(tmp_path))
    assert {"shipped", "user_registered", "order_created", "payment_success"} <= set(texts.events)
    assert said(texts, name="你好", count=3) == "你好: 3"
    with pytest.raises(UnknownEvent):
        texts.event("nothing")


@pytest.mark.parametrize(
    ("event", "texts", "named"),
    [
        (EVENT, {"body.txt": "{{ secret }}"}, "secret"),
        (EVENT, {"body.txt": "{% if %}"}, "body.txt"),
        ("channels = []", {}, "shipped"),
        ('channels = ["fax"]', {}, "fax"),
        ('channels = ["email"]\n[context]\nname = "object"', {}, "object"),
        ('channels = ["email"]\ncolour = "red"', {}, "colour"),
        ("channels = ", {}, "shipped"),
    ],
)
def test_what_is_wrong_is_named_at_the_start(tmp_path: Path, event: str, texts: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        load_events(write(tmp_path, event, **texts))


def test_a_missing_text_is_named_at_the_start(tmp_path: Path) -> None:
    (write(tmp_path) / "shipped" / "en" / "sms.txt").unlink()
    with pytest.raises(ConfigError, match=r"sms\.txt"):
        load_events(tmp_path)


@pytest.mark.parametrize("text", ["{{ name.__class__.__mro__ }}", "{{ name.format.__globals__ }}"])
def test_nothing_behind_a_value_is_reached(tmp_path: Path, text: str) -> None:
    """The sandbox hides it: nothing of ours is written."""
    from jinja2.exceptions import TemplateError

    with pytest.raises(TemplateError):
        said(load_events(write(tmp_path, **{"body.txt": text})))


def test_a_loop_ends_at_what_a_channel_takes(tmp_path: Path) -> None:
    from jobs.domain.notifications import TextTooLong

    endless = "{% for a in range(1000) %}{% for b in range(1000) %}" + "x" * 1000 + "{% endfor %}{% endfor %}"
    assert MAX_OUTPUT_CHARS < 1_000_000_000
    with pytest.raises(TextTooLong):
        said(load_events(write(tmp_path, **{"body.txt": endless})))


@pytest.mark.parametrize("context", [{"count": "1"}, {"count": True}, {"name": "a\0b"}, {"more": 1}])
def test_a_context_of_another_kind_is_refused(tmp_path: Path, context: dict[str, object]) -> None:
    with pytest.raises(BadContext):
        said(load_events(write(tmp_path)), **context)
