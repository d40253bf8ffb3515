"""Where telemetry goes, by the variables of OpenTelemetry and of Application Insights. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CONSOLE, OTLP, AZURE = "console", "otlp", "azure"
CONNECTION_STRING_VARIABLE = "APPLICATIONINSIGHTS_CONNECTION_STRING"
AUTHENTICATION_STRING_VARIABLE = "APPLICATIONINSIGHTS_AUTHENTICATION_STRING"
OTLP_PROTOCOL = "http/protobuf"  # the one protocol of OTLP that is here


@dataclass(frozen=True, slots=True)
class ExporterChoice:
    """Which exporters get what."""

    requested_by: str = ""  # the variable that asks for telemetry; "" if none does
    traces: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()  # what was asked for and cannot be


def choose_exporters(environment: Mapping[str, str]) -> ExporterChoice:
    """What the environment asks for. An empty variable is an unset one."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ExporterChoice()
    troubles: list[str] = []
    traces, by = read_exporters(environment, "TRACES", troubles)
    metrics, by_too = read_exporters(environment, "METRICS", troubles)
    return ExporterChoice(by or by_too, traces, metrics, tuple(dict.fromkeys(troubles)))


def read_exporters(
    environment: Mapping[str, str], signal: str, problems: list[str]
) -> tuple[tuple[str, ...], str]:
    """The exporters of a signal, and the variable that asks for the first of them."""
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
                f"{protocol}={spoken}: set it to {OTLP_PROTOCOL}, and the endpoint to the port for that, "
                "which usually is 4318"
            )
    if environment.get(CONNECTION_STRING_VARIABLE) and "none" not in names:
        found[AZURE] = CONNECTION_STRING_VARIABLE
    return tuple(found), next(iter(found.values()), "")


def requires_token(environment: Mapping[str, str]) -> bool:
    """Whether Application Insights takes tokens, as its resource is set to without local keys."""
    pairs = environment.get(AUTHENTICATION_STRING_VARIABLE, "").replace(" ", "").lower().split(";")
    return "authorization=aad" in pairs
