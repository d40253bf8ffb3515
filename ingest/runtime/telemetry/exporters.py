"""Choice of exporters by the variables of OpenTelemetry and Application Insights. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CONSOLE, OTLP, AZURE = "console", "otlp", "azure"
CONNECTION_STRING_VARIABLE = "APPLICATIONINSIGHTS_CONNECTION_STRING"
AUTHENTICATION_STRING_VARIABLE = "APPLICATIONINSIGHTS_AUTHENTICATION_STRING"
DEFAULT_ENDPOINT_SUFFIX = "services.visualstudio.com"
OTLP_PROTOCOL = "http/protobuf"  # the only OTLP protocol that is supported


@dataclass(frozen=True, slots=True)
class ExporterChoice:
    """The exporters of each signal."""

    requested_by: str = ""  # the variable that switches telemetry on; "" if none does
    traces: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()  # unsupported values, for the log


def choose_exporters(environment: Mapping[str, str]) -> ExporterChoice:
    """Choose exporters by the environment. An empty variable counts as unset."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ExporterChoice()
    troubles: list[str] = []
    traces, by = read_exporters(environment, "TRACES", troubles)
    metrics, by_too = read_exporters(environment, "METRICS", troubles)
    return ExporterChoice(by or by_too, traces, metrics, tuple(dict.fromkeys(troubles)))


def read_exporters(
    environment: Mapping[str, str], signal: str, problems: list[str]
) -> tuple[tuple[str, ...], str]:
    """Return the exporters of a signal, and the variable that selects the first of them."""
    variable = f"OTEL_{signal}_EXPORTER"
    names = [name.strip() for name in environment.get(variable, "").split(",") if name.strip()]
    found: dict[str, str] = {}
    for name in names:
        if name in (CONSOLE, OTLP):
            found[name] = variable
        elif name != "none":
            problems.append(f"{variable}={name}: expected console, otlp or none")
    for endpoint in (f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        if environment.get(endpoint) and not names:
            found.setdefault(OTLP, endpoint)
    for protocol in (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        spoken = environment.get(protocol) or OTLP_PROTOCOL
        if spoken != OTLP_PROTOCOL and found.pop(OTLP, ""):
            problems.append(
                f"{protocol}={spoken}: set it to {OTLP_PROTOCOL}, and the endpoint to the port for "
                "that protocol, usually 4318"
            )
    if environment.get(CONNECTION_STRING_VARIABLE) and "none" not in names:
        found[AZURE] = CONNECTION_STRING_VARIABLE
    return tuple(found), next(iter(found.values()), "")


def monitor_endpoint(environment: Mapping[str, str]) -> str:
    """Return the URL to which Application Insights' exporter sends, by its connection string."""
    pairs = environment.get(CONNECTION_STRING_VARIABLE, "").split(";")
    values = {k.strip().lower(): v.strip() for k, _, v in (pair.partition("=") for pair in pairs)}
    if values.get("ingestionendpoint"):
        return values["ingestionendpoint"]
    location = f"{values['location']}." if values.get("location") else ""
    suffix = values.get("endpointsuffix") or DEFAULT_ENDPOINT_SUFFIX
    return f"https://{location}dc.{suffix}"


def requires_token(environment: Mapping[str, str]) -> bool:
    """Return whether Application Insights requires tokens (its resource has local keys off)."""
    pairs = environment.get(AUTHENTICATION_STRING_VARIABLE, "").replace(" ", "").lower().split(";")
    return "authorization=aad" in pairs
