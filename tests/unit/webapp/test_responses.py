"""What every answer shares."""

from urllib.parse import unquote

import pytest

from tests.unit.webapp.chatting import ScriptedModel
from tests.unit.webapp.conftest import Build
from webapp import create_app
from webapp.responses import header_value


@pytest.mark.parametrize("text", ["gpt-4o (mini)", "小模型", "Modèle №1", "100%", "a\r\nSet-Cookie: b", "\x7f\x80"])
def test_a_header_holds_printable_ascii_and_the_text_can_be_had_back(text: str) -> None:
    """A server answers 500 where a header holds more, and a line break would begin another header."""
    value = header_value(text)
    assert value.isascii()
    assert value.isprintable()
    assert unquote(value) == text


def test_what_is_plain_stays_as_it_is() -> None:
    """So that a header can be compared with a model's name as it is set."""
    assert header_value("org/model:8b-q4 (beta)") == "org/model:8b-q4 (beta)"


@pytest.mark.parametrize("headers", [{}, {"Accept": "text/event-stream"}])
def test_a_model_of_any_name_answers_chats(build: Build, headers: dict[str, str]) -> None:
    """The header has its name percent-encoded."""
    model = ScriptedModel()
    model.model = "小模型"
    web = create_app(services=build(llm=model)).test_client()
    answer = web.post("/chat", json={"user_id": 1, "message": "你好"}, headers=headers)
    assert (answer.status_code, answer.headers["X-Model-Name"]) == (200, "%E5%B0%8F%E6%A8%A1%E5%9E%8B")
