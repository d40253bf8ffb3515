"""Each request that azure-core sends is named and told of."""

from __future__ import annotations

import time

from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import HTTPPolicy
from azure.core.rest import HttpRequest, HttpResponse

from ingest.runtime.request_ids import REQUEST_ID_HEADER, LoggedRequest, RequestLog


class RequestIdPolicy(HTTPPolicy[HttpRequest, HttpResponse]):
    """A policy behind all others of a pipeline, so that each time a request is sent counts."""

    def __init__(self, request_log: RequestLog) -> None:
        super().__init__()
        self.request_log = request_log

    def send(
        self, request: PipelineRequest[HttpRequest]
    ) -> PipelineResponse[HttpRequest, HttpResponse]:
        asked = request.http_request
        asked.headers[REQUEST_ID_HEADER] = self.request_log.new_id()
        began = time.monotonic()
        status = 0
        try:
            answer = self.next.send(request)
            status = answer.http_response.status_code
            return answer
        finally:
            took = time.monotonic() - began
            self.request_log.on_response(LoggedRequest(asked.method, asked.url, status, took))
