"""Chat with a picture: Azure OpenAI, or any service with an OpenAI-compatible API.

Like an embedding request, each one takes a permit from a rate limiter, a reservation in the budget
and a token, and is retried by `ingest.runtime.retry`. It asks for JSON by a strict schema, or for
plain JSON if the service refuses schemas. A picture is blamed for a failure only if the service
answers for another one at that time.
"""

from __future__ import annotations

import base64
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

import httpx2
import openai

from ingest.azure.errors import (
    AI_SERVICES_ERRORS,
    ANY,
    ErrorResponse,
    ErrorTable,
    RequestContext,
    fail,
    rejected_token,
    retry,
)
from ingest.azure.token_cache import TokenCache
from ingest.embed.chat import (
    ChatAnswer,
    ChatQuestion,
    ContentRefusedError,
    RequestRefusedError,
    probe_question,
)
from ingest.embed.deployments import Endpoint
from ingest.embed.openai import create_client, is_answer_lost, read_json
from ingest.embed.openai_errors import (
    KEYS_DISABLED,
    MAX_QUOTA_WAIT_SECONDS,
    NO_DEPLOYMENT,
    NO_QUOTA,
    classify_openai_error,
    create_context,
)
from ingest.embed.rate_limit.limiter import EmbeddingRateLimiter, Gate
from ingest.errors import ConfigError, ServiceError
from ingest.runtime.budget import Budget
from ingest.runtime.prices import NO_CHAT, ChatTokens
from ingest.runtime.rate_limit import Permit
from ingest.runtime.request_ids import REQUEST_ID_HEADER, LoggedRequest
from ingest.runtime.retry import (
    LOGGED_WAIT_SECONDS,
    MAX_FAILURES,
    RetryableError,
    RetryPolicy,
    call_with_retry,
)
from ingest.runtime.timing import THROTTLED_REQUESTS, Stopwatch

log = logging.getLogger(__name__)

CONTENT_FILTER = "content_filter"  # finish reason of an answer, and code of a 400
FILTER_CODES = {CONTENT_FILTER, "ResponsibleAIPolicyViolation", "content_policy_violation"}
LENGTH = "length"  # finish reason of an answer that is cut off
ROOM_PARAMETERS = ("max_completion_tokens", "max_tokens")  # older servers accept the second


class MalformedAnswerError(RetryableError):
    """The answer is billed, but cannot be parsed."""


@dataclass(slots=True)
class RequestForm:
    """Request parameters that the service has not refused so far in this run."""

    room_parameter: str = ROOM_PARAMETERS[0]
    has_schema: bool = True

    def give_up(self, refusal: str) -> bool:
        """Drop the parameter that a refusal names; return whether to send the request again."""
        if self.room_parameter == ROOM_PARAMETERS[0] and self.room_parameter in refusal:
            self.room_parameter = ROOM_PARAMETERS[1]
            return True
        if self.has_schema and ("response_format" in refusal or "json_schema" in refusal):
            self.has_schema = False
            return True
        return False


def picture_exceeds_quota(response: ErrorResponse, request: RequestContext) -> Exception | None:
    """Report a request that exceeds the quota of a whole window."""
    if response.retry_after <= MAX_QUOTA_WAIT_SECONDS:
        return None
    return ConfigError(f"{request.where} accepts no picture, by its quota: raise it")


CHAT_ERRORS: ErrorTable = (
    (ANY, {"insufficient_quota"}, NO_QUOTA),
    ({429}, ANY, picture_exceeds_quota),
    ({429}, ANY, retry("the quota of {where}", waits_itself=True)),
    (ANY, {"AuthenticationTypeDisabled"}, KEYS_DISABLED),
    ({400}, FILTER_CODES, fail(ContentRefusedError, "by the content filter of the service")),
    *AI_SERVICES_ERRORS,
    ({401}, ANY, rejected_token()),
    ({404}, ANY, NO_DEPLOYMENT),
    ({400, 413, 415, 422}, ANY, fail(RequestRefusedError, "the service refused it ({message})")),
    (ANY, ANY, fail(ConfigError, "{where} refused the request ({status}, {message})")),
)


@dataclass(slots=True)
class ChatModel:
    """A deployment of a chat model that sees pictures. Thread-safe."""

    endpoint: Endpoint
    key: str | TokenCache
    retry_policy: RetryPolicy
    rate_limiter: EmbeddingRateLimiter
    budget: Budget
    times: Stopwatch
    form: RequestForm = field(default_factory=RequestForm)
    client: openai.OpenAI | None = None
    answered: int = 0  # requests
    probing: threading.Lock = field(default_factory=threading.Lock, repr=False)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    gate: Gate = field(init=False, repr=False)
    is_overdue: Callable[[], bool] = field(init=False, repr=False)  # answers come too late

    def __post_init__(self) -> None:
        """Stop waiting once the budget is closed."""
        self.is_overdue = is_cancelled = self.retry_policy.is_cancelled
        self.retry_policy = replace(
            self.retry_policy, is_cancelled=lambda: is_cancelled() or self.budget.is_closed()
        )
        # The run's stopwatch measures the waits of embedding, so this needs another one.
        self.gate = Gate(self.rate_limiter, self.retry_policy, Stopwatch())

    def close(self) -> None:
        """Close the connections."""
        if self.client:
            self.client.close()

    def ask(self, question: ChatQuestion) -> ChatAnswer:
        """Send a question, with retries; return the answer.

        Raises ContentRefusedError, RequestRefusedError, StoppedError if the budget is spent,
        ServiceError or ConfigError.
        """
        answered, renewals = self.answered, list[str]()
        failures = 0.0  # that the picture may have caused

        def attempt() -> ChatAnswer:
            nonlocal failures
            try:
                return self.ask_once(question, renewals)
            except RequestRefusedError as error:
                if self.answers_others(answered):
                    raise
                raise ServiceError(
                    f"{self.endpoint} does not describe pictures ({error}): set "
                    "AZURE_OPENAI_FIGURES_DEPLOYMENT to a chat model that sees images"
                ) from error
            except RetryableError as error:
                failures += error.weight
                if failures < MAX_FAILURES:
                    raise
                failures = 0.0
                if self.answers_others(answered):
                    raise RequestRefusedError(f"the service fails on it alone: {error}") from error
                if isinstance(error, MalformedAnswerError):
                    raise ServiceError(f"{self.endpoint}: {error}") from error  # billed each time
                raise

        return call_with_retry(attempt, lambda error: error, self.retry_policy)

    def answers_others(self, before: int) -> bool:
        """Return whether another picture was answered since `before`, or a probe is now."""
        with self.probing:
            if self.answered == before:
                with suppress(
                    RetryableError, RequestRefusedError, ContentRefusedError, ConfigError
                ):
                    self.ask_once(probe_question(), [])
            return self.answered != before

    def ask_once(self, question: ChatQuestion, renewals: list[str]) -> ChatAnswer:
        """Send a question once; return the answer. Raises RetryableError or an error of `ask`."""
        reserved = ChatTokens(question.tokens, question.room)
        self.retry_policy.raise_if_cancelled()
        permit = self.gate.acquire(reserved.total)
        form = replace(self.form)
        try:
            with self.reserve(reserved) as bill:
                headers, answer = self.send_billed(question, form, bill)
        except Exception as error:
            request = create_context(str(self.endpoint), self.key, renewals)
            verdict = classify_openai_error(error, request, CHAT_ERRORS)
            self.report_failure(error, verdict, permit)
            if isinstance(verdict, RequestRefusedError) and self.learn(form, error):
                raise RetryableError(str(verdict), waits_itself=True, weight=0) from error
            if verdict is error:
                raise
            raise verdict from error
        self.rate_limiter.report_success(permit, headers)
        parsed = parse_answer(answer, bill.billed)
        with self.lock:
            self.answered += 1
        return parsed

    def learn(self, form: RequestForm, error: Exception) -> bool:
        """Drop a parameter that the service refuses; return whether to ask again."""
        with self.lock:
            if self.form != form:  # another thread has learnt it meanwhile
                return True
            return self.form.give_up(str(error))

    @contextmanager
    def reserve(self, tokens: ChatTokens) -> Iterator[ChatBill]:
        """Reserve the tokens of a request until the end of the `with`, which settles its bill.

        Raises StoppedError if a limit is reached.
        """
        self.budget.reserve(chat=tokens)
        bill = ChatBill()
        try:
            yield bill
        finally:
            self.budget.settle_chat(tokens, bill.billed)

    def send_billed(
        self, question: ChatQuestion, form: RequestForm, bill: ChatBill
    ) -> tuple[Mapping[str, str], Any]:
        """Send a request, record its bill, and return the headers and the answer."""
        most = ChatTokens(question.tokens, question.room)
        try:
            headers, body = self.send_logged(question, form)
        except Exception as error:
            bill.billed = most if is_answer_lost(error) else NO_CHAT
            raise
        answer = read_json(body)
        bill.billed = find_billed(answer) or most
        return headers, answer

    def send_logged(
        self, question: ChatQuestion, form: RequestForm
    ) -> tuple[Mapping[str, str], bytes]:
        """Send a request, and report it to the request log."""
        request_log = self.retry_policy.request_log
        status, started = 0, time.monotonic()
        try:
            response = self.connection().post(
                "/chat/completions",
                cast_to=httpx2.Response,
                body=chat_body(self.endpoint.deployment, question, form),
                options={"headers": {REQUEST_ID_HEADER: request_log.new_id()}},
            )
        except openai.APIStatusError as error:
            status = error.status_code
            raise
        else:
            status = HTTPStatus.OK
            return response.headers, response.content
        finally:
            seconds = time.monotonic() - started
            request_log.on_response(LoggedRequest("POST", self.endpoint.url, status, seconds))

    def connection(self) -> openai.OpenAI:
        """Return the client, created on first use."""
        with self.lock:
            self.client = self.client or create_client(self.endpoint, self.key)
            return self.client

    def report_failure(self, error: Exception, verdict: Exception, permit: Permit) -> None:
        """Report a failed request to the rate limiter, and log a long wait."""
        if isinstance(verdict, RetryableError) and isinstance(error, openai.RateLimitError):
            self.times.count(THROTTLED_REQUESTS)
            wait = self.rate_limiter.report_throttled(permit, error.response.headers)
            if wait > LOGGED_WAIT_SECONDS:
                log.warning("waiting %.0f s: %s", wait, verdict, extra={"seconds": round(wait, 1)})
        else:
            self.rate_limiter.report_failure(permit, avoid=False)


@dataclass(slots=True)
class ChatBill:
    """Tokens billed for one request, or probably billed as its answer was lost."""

    billed: ChatTokens = NO_CHAT


def chat_body(deployment: str, question: ChatQuestion, form: RequestForm) -> dict[str, Any]:
    """Build the body of a request."""
    data = base64.b64encode(question.picture).decode()
    picture = {"url": f"data:{question.media_type};base64,{data}", "detail": "high"}
    body: dict[str, Any] = {
        "model": deployment,
        "messages": [
            {"role": "system", "content": question.instructions},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": question.words},
                    {"type": "image_url", "image_url": picture},
                ],
            },
        ],
        form.room_parameter: question.room,
    }
    if form.has_schema:
        schema = {"name": "figure", "strict": True, "schema": dict(question.schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def parse_answer(answer: Any, billed: ChatTokens) -> ChatAnswer:
    """Return an answer. Raises ContentRefusedError, or MalformedAnswerError."""
    try:
        choice = answer["choices"][0]
        message = choice["message"]
        reason = choice.get("finish_reason")
        text, refusal = message.get("content"), message.get("refusal")
    except (TypeError, KeyError, IndexError, AttributeError) as error:
        raise MalformedAnswerError("the service returned a malformed answer") from error
    if reason == CONTENT_FILTER:
        raise ContentRefusedError("by the content filter of the service")
    if refusal:
        raise ContentRefusedError("by the model")
    if reason == LENGTH:
        return ChatAnswer("", str(answer.get("model") or ""), is_cut_off=True, billed=billed)
    return ChatAnswer(str(text or ""), str(answer.get("model") or ""), billed=billed)


def find_billed(answer: Any) -> ChatTokens | None:
    """Return the tokens billed for an answer; None if the service does not report them."""
    usage = answer.get("usage") if isinstance(answer, dict) else None
    counts = [
        usage.get(name) if isinstance(usage, dict) else None
        for name in ("prompt_tokens", "completion_tokens")
    ]
    sent, answered = (n if isinstance(n, int) and n >= 0 else None for n in counts)
    return None if sent is None or answered is None else ChatTokens(sent, answered)
