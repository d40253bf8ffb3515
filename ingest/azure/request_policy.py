"""Each request that azure-core sends is named and told of."""

from __future__ import annotations

import time

from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import HTTPPolicy
from azure.core.rest import HttpRequest, HttpResponse

from ingest.runtime.request_ids import REQUEST_ID, Exchange, Exchanges


class Noting(HTTPPolicy[HttpRequest, HttpResponse]):
    """A policy behind all others of a pipeline, so that each time a request is sent counts."""

    def __init__(self, exchanges: Exchanges) -> None:
        super().__init__()
        self.exchanges = exchanges

    def send(
        self, request: PipelineRequest[HttpRequest]
    ) -> PipelineResponse[HttpRequest, HttpResponse]:
        asked = request.http_request
        asked.headers[REQUEST_ID] = self.exchanges.named()
        began = time.monotonic()
        status = 0
        try:
            answer = self.next.send(request)
            status = answer.http_response.status_code
            return answer
        finally:
            took = time.monotonic() - began
            self.exchanges.told(Exchange(asked.method, asked.url, status, took))
