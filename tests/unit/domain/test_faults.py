"""Faults of data: the first ones, shortly, and how many more there are."""

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from jobs.domain.faults import MAX_FAULTS, Fault, faults_of
from jobs.domain.json_size import is_crowded


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")

    wanted: int = 0


def _faults(data: object) -> list[Fault]:
    with pytest.raises(ValidationError) as raised:
        _Model.model_validate(data)
    return faults_of(raised.value)


def test_the_first_faults_are_named_and_the_others_counted() -> None:
    faults = _faults({f"n{number}": 1 for number in range(1000)})
    assert [fault.field for fault in faults] == [*(f"n{number}" for number in range(MAX_FAULTS)), "body"]
    assert faults[-1].message == "980 more faults"


def test_very_many_faults_are_only_counted() -> None:
    """What pydantic holds of them is not made a list of."""
    assert _faults({f"n{number}": 1 for number in range(30_000)}) == [Fault("body", "30000 faults")]


def test_a_long_name_is_cut() -> None:
    assert len(_faults({"n" * 100_000: 1})[0].field) < 300
    assert _faults({"wanted": "x"}) == [
        Fault("wanted", "Input should be a valid integer, unable to parse string as an integer")
    ]


@pytest.mark.parametrize("crowded", ["[1,1,1,1]", '{"a":1,"b":1,"c":1,"d":1}', "[[[[]]]]", '["a\\"",1,1,1]', '"",,,"'])
def test_values_are_counted_before_json_is_read(crowded: str) -> None:
    assert is_crowded(crowded.encode(), 2)


@pytest.mark.parametrize("text", ['["a,b,c,d{{{"]', '{"a":",,\\",,"}', '"', '"\\', "[1,1]"])
def test_what_stands_in_a_text_is_no_value(text: str) -> None:
    assert not is_crowded(text.encode(), 2)
