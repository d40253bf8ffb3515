"""The emulator through the SDK, which is the referee, and our client against both."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator

import pytest
from azure.ai.documentintelligence import DocumentIntelligenceClient
from azure.core.exceptions import HttpResponseError
from azure.identity import ManagedIdentityCredential

from ingest.azure.token_hosts import COGNITIVE_SERVICES_SCOPE
from ingest.errors import ConfigError, NotYetError, ServiceError, StoppedError
from ingest.extract.ocr import PageRejected, ResultLost, SubmittedPage
from ingest.extract.ocr.document_intelligence import DocumentIntelligence
from ingest.extract.ocr.rate_limit import LeakyBucket
from ingest.runtime.retry import RetryPolicy, parse_retry_after
from tests.embed.rate_limit.simulation import Slept
from tests.emulator import faults
from tests.emulator.emulator import Azure
from tests.emulator.identity import COGNITIVE_USER
from tests.emulator.server import answer, failure
from tests.runs import managed_token
from tests.scans import squares


@pytest.fixture
def azure(azure: Azure) -> Azure:
    azure.identity.default.grant(COGNITIVE_USER)
    return azure


@pytest.fixture
def service(azure: Azure) -> Iterator[DocumentIntelligence]:
    made = connect(azure)
    yield made
    made.close()


def connect(
    azure: Azure, model: str = "prebuilt-read", policy: RetryPolicy | None = None
) -> DocumentIntelligence:
    token = managed_token(COGNITIVE_SERVICES_SCOPE)
    hurried = RetryPolicy(
        20.0, clock=lambda: time.monotonic() * 5, sleep=lambda seconds: time.sleep(seconds / 5)
    )
    return DocumentIntelligence(azure.ocr_endpoint, model, token, policy or hurried)


def file(text: str) -> bytes:
    out = io.BytesIO()
    squares(text).save(out, "PNG")
    return out.getvalue()


def test_the_sdk_reads_the_same_from_the_emulator_as_we_do(
    azure: Azure, service: DocumentIntelligence
) -> None:
    """Text, words, confidences: what we make of an answer is what the SDK shows of it."""
    text = "Une phrase 𝒢rande, peut-être?\nEnd."
    with DocumentIntelligenceClient(azure.ocr_endpoint, ManagedIdentityCredential()) as sdk:
        result = sdk.begin_analyze_document(
            "prebuilt-read", io.BytesIO(file(text)), content_type="application/octet-stream"
        ).result()
    ours = service.wait_for_result(service.submit(file(text)))

    assert result.content == ours.text == text
    words = [word for page in result.pages for word in page.words or ()]
    weighted = sum(word.confidence * len(word.content) for word in words)
    assert ours.confidence == pytest.approx(weighted / sum(len(word.content) for word in words))
    assert 0.4 < ours.confidence < 0.9


def test_the_sdk_sees_the_emulators_refusals(azure: Azure) -> None:
    """As the service words them: a code, and a more exact one inside."""
    with (
        DocumentIntelligenceClient(azure.ocr_endpoint, ManagedIdentityCredential()) as sdk,
        pytest.raises(HttpResponseError) as caught,
    ):
        sdk.begin_analyze_document(
            "prebuilt-read", io.BytesIO(b"no picture"), content_type="application/octet-stream"
        )
    assert caught.value.status_code == 400
    assert caught.value.error is not None
    assert caught.value.error.code == "InvalidRequest"
    assert caught.value.error.innererror == {
        "code": "InvalidContent",
        "message": "The file is corrupted or format is unsupported.",
    }


def test_an_answer_is_waited_for_and_not_asked_for_too_often(
    azure: Azure, service: DocumentIntelligence
) -> None:
    """An operation that takes its time, of a service that says when to look."""
    azure.ocr.seconds = 1.0
    assert service.wait_for_result(service.submit(file("Slow."))).text == "Slow."
    assert 2 <= azure.count("ocr", "GET") <= 8


def test_a_page_that_is_no_picture_is_refused(service: DocumentIntelligence) -> None:
    """For itself, and in the service's words; others are read."""
    with pytest.raises(PageRejected, match="corrupted or format is unsupported"):
        service.submit(b"no picture")
    assert service.wait_for_result(service.submit(file("Fine."))).text == "Fine."


def test_a_picture_that_is_too_heavy_for_the_tier_is_refused(
    azure: Azure, service: DocumentIntelligence
) -> None:
    """It costs a page, not the run."""
    azure.ocr.most_bytes = 10
    with pytest.raises(PageRejected, match="too large"):
        service.submit(file("Heavy."))


def test_an_operation_that_nobody_knows_is_gone(
    azure: Azure, service: DocumentIntelligence
) -> None:
    """Expired, or of another resource: it must be sent again, which the caller decides."""
    taken = service.submit(file("Old."))._replace(is_new=False)
    azure.clock.advance(90_000)
    azure.identity.revoke_all()
    with pytest.raises(ResultLost):
        service.wait_for_result(taken)
    with pytest.raises(ResultLost):
        service.wait_for_result(SubmittedPage("00000000-0000-0000-0000-000000000000", 0.0))


def test_an_operation_that_is_not_known_yet_is_waited_for(
    azure: Azure, service: DocumentIntelligence
) -> None:
    """The service has taken the page, and a replica has not heard of it: it is not sent again."""
    unknown = faults.answer_with("404", failure(404, "NotFound", "Resource not found."))
    azure.faults.add(unknown, "ocr", "GET", nth=range(1, 4))
    assert service.wait_for_result(service.submit(file("New."))).text == "New."


@pytest.mark.parametrize("seconds", ["inf", "86400"])
def test_a_page_is_asked_for_however_long_the_service_says_to_wait(
    azure: Azure, seconds: str
) -> None:
    """A day, or for ever: such an answer must not stop a run."""
    slept = Slept()
    service = connect(azure, policy=RetryPolicy(900, clock=slept.clock, sleep=slept.sleep))
    submitted = service.submit(file("Any."))
    told = parse_retry_after({"retry-after": seconds})
    assert service.wait_for_result(submitted._replace(poll_after_seconds=told)).text == "Any."
    assert slept.now < 900
    service.close()


def test_an_endpoint_of_another_kind_is_named(azure: Azure) -> None:
    """I gave the address of another service, or a model that it does not have."""
    other = connect(azure, "prebuilt-unknown")
    with pytest.raises(NotYetError, match="Document Intelligence resource"):
        other.submit(file("Any."))
    other.close()


def test_a_stranger_is_told_to_sign_in_elsewhere(
    azure: Azure, service: DocumentIntelligence
) -> None:
    """My token is of another tenant."""
    azure.identity.tenant = "another-tenant"
    with pytest.raises(ConfigError, match="AZURE_TENANT_ID"):
        service.submit(file("Any."))


def test_a_firewall_is_named(azure: Azure, service: DocumentIntelligence) -> None:
    """The resource takes no requests from this network: that is not a missing role."""
    blocked = faults.answer_with("403", failure(403, "403", "Access denied."))
    azure.faults.add(blocked, "ocr", "POST")
    with pytest.raises(ConfigError, match="network"):
        service.submit(file("Any."))


def test_a_refusal_for_too_many_requests_slows_all_down(azure: Azure) -> None:
    """What the service asks for is a floor, and afterwards fewer are sent."""
    slept = Slept()
    policy = RetryPolicy(20.0, clock=slept.clock, sleep=slept.sleep)
    service = connect(azure, policy=policy)
    azure.faults.add(faults.too_many(seconds=2), "ocr", "POST", nth=1)
    assert isinstance(service.rate_limiter, LeakyBucket)
    before = service.rate_limiter.rate
    service.submit(file("Any."))
    service.close()
    assert slept.now >= 2
    assert service.rate_limiter.rate < before


def test_an_operation_that_never_ends_is_an_error_of_the_service(
    azure: Azure, service: DocumentIntelligence
) -> None:
    """After the time that one request may take; nothing is lost by it."""
    azure.ocr.seconds, azure.ocr.poll = 9_999, None
    with pytest.raises(ServiceError, match="run again later"):
        service.wait_for_result(service.submit(file("Any.")))


def test_a_success_that_cannot_be_read_is_none(azure: Azure, service: DocumentIntelligence) -> None:
    """An answer without a body is asked for again, and paid for once."""
    taken = service.submit(file("Any."))
    azure.faults.add(faults.answer_empty(), "ocr", "GET", nth=1)
    assert service.wait_for_result(taken).text == "Any."


def test_a_run_that_is_called_off_sends_nothing_more(azure: Azure) -> None:
    """No page is paid for after the time to settle things is over."""
    service = connect(azure, policy=RetryPolicy(is_cancelled=lambda: True))
    with pytest.raises(StoppedError):
        service.submit(file("Any."))
    assert azure.count("ocr") == 0
    service.close()


def test_an_answer_is_only_asked_for_where_the_page_was_sent(azure: Azure) -> None:
    """The token goes to the endpoint of the settings, whatever address an answer names."""
    service = connect(azure)
    evil = answer(202, {}, {"Operation-Location": "https://elsewhere/analyzeResults/12345678"})
    azure.faults.add(faults.answer_with("evil", evil), "ocr", "POST", nth=1)
    taken = service.submit(file("Any."))._replace(is_new=False)
    assert taken.operation == "12345678"
    with pytest.raises(ResultLost):  # which our own endpoint says
        service.wait_for_result(taken)
    service.close()
