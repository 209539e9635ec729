"""What clients send may stop anywhere."""

import anyio
import pytest
from starlette.requests import Request
from starlette.types import Message

from webui.errors import RequestError
from webui.http.bodies import parsed


def test_a_client_that_goes_in_the_middle_of_a_body_is_no_fault_of_ours() -> None:
    said: list[Message] = [
        {"type": "http.request", "body": b'{"task": "txt2', "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return said.pop(0)

    scope = {"type": "http", "method": "POST", "path": "/api/jobs", "headers": []}
    with pytest.raises(RequestError, match="ended before the whole body"):
        anyio.run(parsed, Request(scope, receive))
