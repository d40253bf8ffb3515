"""Error messages of AI Search, in its own words."""

from __future__ import annotations

from tests.emulator.server import Response, failure


class Rejected(Exception):
    """The request ends here; nothing of it was done."""

    kind = ""  # under which a recording of the real service may have another response

    def __init__(self, status: int, code: str, message: str, *details: str) -> None:
        super().__init__(message)
        self.response = failure(status, code, message, *details)


def of_kind(kind: str, rejected: Rejected) -> Rejected:
    """The refusal, with its kind."""
    rejected.kind = kind
    return rejected


class Silent(Rejected):
    """A refusal without a body."""

    def __init__(self, status: int, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, "", "")
        self.response = Response(status, b"", headers or {})


def invalid(message: str, code: str = "", *details: str) -> Rejected:
    """A request that cannot be meant."""
    return Rejected(400, code, f"The request is invalid. Details: {message}", *details)


def expression(message: str, parameter: str) -> Rejected:
    """A $filter, $select or $orderby that cannot be meant."""
    code = "InvalidRequestParameter"
    return Rejected(400, code, f"Invalid expression: {message}\r\nParameter name: ${parameter}")


def no_property(name: str, parameter: str) -> Rejected:
    """An expression names a field that there is not."""
    message = f"Could not find a property named '{name}' on type 'search.document'."
    return expression(message, parameter)


def no_index(name: str) -> Rejected:
    """There is no index and no alias of that name."""
    message = f"No index with the name '{name}' was found in the service 'loopback'."
    return of_kind("missing index", Rejected(404, "", message))
