"""Faults that the emulator has on request."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    IncompleteReadError,
    ServiceResponseError,
)
from azure.search.documents import SearchClient

from tests.emulator.emulator import Azure
from tests.emulator.faults import (
    FITTING,
    Fault,
    answer_empty,
    delay,
    drop,
    fail_with,
    refuse,
    reset_connection,
    results_503,
    too_many,
    truncate,
    unauthorized,
)
from tests.emulator.helpers import WRITE, chunk


def test_a_planned_fault_strikes_when_it_is_due(azure: Azure, documents: SearchClient) -> None:
    """I can make exactly the third upload fail."""
    azure.faults.add(fail_with(503), "search", "POST", WRITE, nth=3)
    statuses = []
    for number in range(4):
        try:
            documents.upload_documents([chunk(number)])
            statuses.append(200)
        except HttpResponseError as error:
            statuses.append(error.status_code or 0)
    assert statuses == [200, 200, 503, 200]
    assert len(azure.faults.happened) == 1
    assert sorted(azure.search.dump("chunks")) == ["c00000", "c00001", "c00003"]


@pytest.mark.parametrize(
    ("fault", "error", "written"),
    [
        (fail_with(503), HttpResponseError, 0),
        (fail_with(503, body=False), HttpResponseError, 0),
        (fail_with(408), HttpResponseError, 0),
        (too_many(), HttpResponseError, 0),
        (results_503(), HttpResponseError, 0),
        (unauthorized(), ClientAuthenticationError, 0),
        (reset_connection(), ServiceResponseError, 0),
        (delay(0.01, work=False), ServiceResponseError, 0),
        (drop(), ServiceResponseError, 4),
        (truncate(), IncompleteReadError, 4),
        (answer_empty(), ValueError, 4),  # of json: no error of the SDK's own
        (answer_empty(work=False), ValueError, 0),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else "",
)
def test_a_fault_strikes_before_or_after_the_work(
    azure: Azure, documents: SearchClient, fault: Fault, error: Any, written: int
) -> None:
    """What a client is told need not be what became of its documents."""
    azure.faults.add(fault, "search", "POST", WRITE)
    with pytest.raises(error):
        documents.upload_documents([chunk(n) for n in range(4)])
    assert len(azure.search.dump("chunks")) == written


def test_some_documents_are_refused_for_a_while(azure: Azure, documents: SearchClient) -> None:
    """A busy service takes some documents and not the others."""
    azure.faults.add(refuse(503), "search", "POST", WRITE, nth=1)
    results = documents.upload_documents([chunk(n) for n in range(4)])
    assert {r.key: r.status_code for r in results} == {
        "c00000": 503,
        "c00001": 201,
        "c00002": 503,
        "c00003": 201,
    }
    assert sorted(azure.search.dump("chunks")) == ["c00001", "c00003"]
    again = documents.upload_documents([chunk(n) for n in range(4)])
    assert [r.status_code for r in again] == [201, 200, 201, 200]


def test_random_faults_are_the_same_for_the_same_seed(
    azure: Azure, documents: SearchClient
) -> None:
    """A run that failed can be looked at again; every kind of fault happens sometimes."""

    def names(seed: int) -> list[str]:
        azure.faults.happened.clear()
        azure.faults.randomly(0.5, seed, without={"401"})
        for number in range(20):
            # ValueError is what the SDK makes of an empty body.
            with suppress(HttpResponseError, ServiceResponseError, ValueError):
                documents.upload_documents([chunk(number)])
        return [fault for *_, fault in azure.faults.happened]

    first = names(1)
    assert names(1) == first
    assert names(2) != first
    kinds = {fault.name for fault in FITTING[WRITE]}
    assert len(kinds) > 12
    assert set(first) < kinds
    azure.faults.quiet()
    documents.upload_documents([chunk(1)])
