"""The errors that people see."""

import json
from pathlib import Path

import pytest

from purista_fast import HandledError, PayloadError, ServiceError, StatusCode, UnhandledError

CODES = Path(__file__).parents[1] / "vectors" / "status_codes.json"


def test_the_default_message_is_that_of_the_status() -> None:
    error = HandledError(StatusCode.NOT_FOUND)
    assert (error.status, error.message, error.data, error.trace_id) == (StatusCode.NOT_FOUND, "Not Found", None, None)
    assert str(error) == "404 Not Found"
    assert str(HandledError(404, "gone", {"a": 1})) == "404 gone {'a': 1}"
    assert UnhandledError().status == StatusCode.INTERNAL_SERVER_ERROR


def test_a_status_of_another_language() -> None:
    error = ServiceError(299)
    assert (error.status, error.message, str(error)) == (299, "Status 299", "299 Status 299")


def test_payload_error_is_a_value_error_with_its_problems() -> None:
    error = PayloadError("event 'e'", [{"message": "Required", "path": ["a"]}])
    assert isinstance(error, ValueError)
    assert error.problems == [{"message": "Required", "path": ["a"]}]
    assert str(error) == "event 'e': [{'message': 'Required', 'path': ['a']}]"


def test_the_status_codes_are_those_of_the_recordings() -> None:
    recorded = json.loads(CODES.read_text(encoding="utf-8"))["cases"]
    assert {case["code"]: case["message"] for case in recorded} == {int(code): code.message for code in StatusCode}


@pytest.mark.parametrize("code", list(StatusCode))
def test_every_status_has_a_message(code: StatusCode) -> None:
    assert HandledError(code).message == code.message
