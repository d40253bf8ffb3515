"""Where telemetry goes, by the variables of OpenTelemetry and of Application Insights. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CONSOLE, OTLP, AZURE = "console", "otlp", "azure"
CONNECTION = "APPLICATIONINSIGHTS_CONNECTION_STRING"
AUTHENTICATION = "APPLICATIONINSIGHTS_AUTHENTICATION_STRING"
SPOKEN = "http/protobuf"  # the one protocol of OTLP that is here


@dataclass(frozen=True, slots=True)
class Choice:
    """Which exporters get what."""

    asked: str = ""  # the variable that asks for telemetry; "" if none does
    traces: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()  # what was asked for and cannot be


def chosen(environment: Mapping[str, str]) -> Choice:
    """What the environment asks for. An empty variable is an unset one."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Choice()
    troubles: list[str] = []
    traces, by = exporters(environment, "TRACES", troubles)
    metrics, by_too = exporters(environment, "METRICS", troubles)
    return Choice(by or by_too, traces, metrics, tuple(dict.fromkeys(troubles)))


def exporters(
    environment: Mapping[str, str], signal: str, troubles: list[str]
) -> tuple[tuple[str, ...], str]:
    """The exporters of a signal, and the variable that asks for the first of them."""
    variable = f"OTEL_{signal}_EXPORTER"
    names = [name.strip() for name in environment.get(variable, "").split(",") if name.strip()]
    found: dict[str, str] = {}
    for name in names:
        if name in (CONSOLE, OTLP):
            found[name] = variable
        elif name != "none":
            troubles.append(f"{variable}={name}: expected console, otlp or none")
    for endpoint in (f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        if environment.get(endpoint) and not names:
            found.setdefault(OTLP, endpoint)
    for protocol in (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        spoken = environment.get(protocol) or SPOKEN
        if spoken != SPOKEN and found.pop(OTLP, ""):
            troubles.append(
                f"{protocol}={spoken}: set it to {SPOKEN}, and the endpoint to the port for that, "
                "which usually is 4318"
            )
    if environment.get(CONNECTION) and "none" not in names:
        found[AZURE] = CONNECTION
    return tuple(found), next(iter(found.values()), "")


def signs_in(environment: Mapping[str, str]) -> bool:
    """Whether Application Insights takes tokens, as its resource is set to without local keys."""
    pairs = environment.get(AUTHENTICATION, "").replace(" ", "").lower().split(";")
    return "authorization=aad" in pairs
