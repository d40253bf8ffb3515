"""Quotas of a deployment: requests and tokens a minute, and what the headers say of them."""

from __future__ import annotations

import json
import math
from typing import Any

from tests.emulator.clock import Clock, Window
from tests.emulator.server import Json, Request, Response, answer, failure

NEVER = 86_400  # the seconds to wait for something that waiting does not help


class Refused(Exception):
    """The emulator refuses the request with this response."""

    def __init__(self, response: Response, kind: str = "") -> None:
        super().__init__(response.status)
        self.response = response
        self.kind = kind  # under which a recording of the real service may have another response


class Quotas:
    """Quotas of requests and tokens. Its attributes may be set at any time."""

    operation = ""  # as the service calls it

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        # None is no limit. What fits into a window is its share of a minute.
        self.rpm: int | None = None
        self.rpm_window = 10.0  # seconds; Azure uses 1 or 10
        self.tpm: int | None = None
        self.tpm_window = 60.0
        # What a success says of the quotas: any of limit and remaining; or -1 for each of them.
        self.rate_headers: tuple[str, ...] = ("limit", "remaining")
        self.retry_headers: tuple[str, ...] = ("retry-after", "retry-after-ms", "x-ratelimit-reset")
        self.calls, self.spent = Window(clock), Window(clock)

    def admit(self, estimated: int, request: Request) -> dict[str, str]:
        """Count the request against both quotas; the headers that say so. Raises Refused."""
        headers = {}
        if self.rpm is not None:
            allowance = max(1.0, self.rpm * self.rpm_window / 60)
            wait = self.calls.take(1, allowance, self.rpm_window)
            if wait:
                raise Refused(self.busy("call", wait, request))
            headers["x-ratelimit-limit-requests"] = str(self.rpm)
            headers["x-ratelimit-remaining-requests"] = str(int(allowance - self.calls.used))
        if self.tpm is not None:
            allowance = self.tpm * self.tpm_window / 60
            wait = self.spent.take(estimated, allowance, self.tpm_window)
            if wait:
                wait = NEVER if estimated > allowance else wait
                raise Refused(self.busy("token", wait, request))
            headers["x-ratelimit-limit-tokens"] = str(self.tpm)
            headers["x-ratelimit-remaining-tokens"] = str(int(allowance - self.spent.used))
        if self.rate_headers == ("-1",):
            return dict.fromkeys(headers, "-1")
        return {name: n for name, n in headers.items() if name.split("-")[2] in self.rate_headers}

    def busy(self, what: str, wait: float, request: Request) -> Response:
        """The 429 of a rate limit, of calls or tokens."""
        seconds = math.ceil(wait)
        version = request.query.get("api-version", "v1")
        response = failure(429, "429", RATE_LIMIT.format(self.operation, version, what, seconds))
        reset = f"x-ratelimit-reset-{'requests' if what == 'call' else 'tokens'}"
        choices = {
            "retry-after": ("Retry-After", str(seconds)),
            "retry-after-ms": ("retry-after-ms", str(math.ceil(wait * 1000))),
            "x-ratelimit-reset": (reset, str(seconds)),
        }
        headers = dict(choices[name] for name in self.retry_headers)
        headers["policy-id"] = f"DeploymentRatelimit-{what.title()}"
        return Response(429, response.body, {**response.headers, **headers})


def parse_body(body: bytes) -> Json:
    """The object in a body. Raises Refused."""
    try:
        value: Any = json.loads(body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Refused(invalid("We could not parse the JSON body of your request."))
    return value


def invalid(message: str, kind: str = "invalid_request_error", code: str | None = None) -> Response:
    """A 400 as OpenAI words it."""
    error = {"message": message, "type": kind, "param": None, "code": code}
    return answer(400, {"error": error})


RATE_LIMIT = (
    "Requests to the {} Operation under Azure OpenAI API version {} have exceeded "
    "{} rate limit of your current OpenAI S0 pricing tier. Please retry after {} seconds. Please "
    "go here: https://aka.ms/oai/quotaincrease if you would like to further increase the default "
    "rate limit."
)
