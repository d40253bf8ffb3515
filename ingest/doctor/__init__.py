"""What would keep a run from working, in the order in which it would be met.

It writes nothing, and embeds one word at most. The advice is that of the code which a run would
fail in: here is only decided what is tried, and what a failure leaves unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ingest import connect
from ingest.auth.credential import answering
from ingest.auth.token_cache import TokenCache
from ingest.connections import connections
from ingest.doctor.finding import Finding, Patient, Verdict, tried
from ingest.doctor.names import contradictions, misspelt, remarks
from ingest.doctor.services import embedding, indexing, recognising
from ingest.errors import ConfigError
from ingest.extract.passwords import passwords
from ingest.model import Oddity, Source
from ingest.settings import Settings, documented, settings
from ingest.sources import Root

if TYPE_CHECKING:
    from ingest.doctor.network import Fetch, Reached

BRIEFLY = 15.0  # seconds to go on trying one request: a person waits


def findings(
    environment: Mapping[str, str],
    file: Mapping[str, str | None],
    flags: Mapping[str, Any],
    arguments: Sequence[str],
) -> Iterator[Finding]:
    """Every check, as soon as it is done. `file` is what .env holds, `arguments` are the roots."""
    told = {item.metadata["env"]: flags[item.name] for item in documented() if flags.get(item.name)}
    troubles = [*misspelt(environment), *contradictions({**environment, **told})]
    for trouble in troubles:
        yield Finding("settings", Verdict.WRONG, trouble)
    try:
        chosen = settings(environment, flags)
    except ConfigError as error:
        yield Finding("settings", Verdict.WRONG, str(error))
        yield Finding("all else", Verdict.UNKNOWN, "mend the settings first")
        return
    if not troubles:
        yield Finding("settings", Verdict.RIGHT, in_words(chosen, environment, file))
    brief = replace(chosen, retry_seconds=min(chosen.retry_seconds, BRIEFLY), wait_for_roles=0.0)
    yield from examined(Patient(brief, connections(brief), arguments))


def in_words(
    chosen: Settings, environment: Mapping[str, str], file: Mapping[str, str | None]
) -> str:
    """What the settings come to."""
    number = sum(bool(environment.get(item.metadata["env"])) for item in documented())
    parts = [
        f"{number} set",
        f"embedder {', '.join(connect.embedder_places(chosen))}",
        f"index {connect.index_name(chosen)}",
        *remarks(environment, file),
    ]
    return "; ".join(parts)


def examined(patient: Patient) -> Iterator[Finding]:
    """All checks but that of the settings."""
    nobody = ""
    if patient.scopes:
        token = TokenCache(patient.to.login, patient.scopes[0])
        identity = tried("identity", partial(signed_in, patient, token))
        yield identity
        nobody = "" if token.held else "nobody is signed in"
    services: list[Reached] = []
    lost: dict[str, str] = {}
    for name, url, fetch, trust in endpoints(patient):
        finding = tried(name, partial(reach, url, fetch, trust, services))
        yield finding
        if finding.verdict is Verdict.WRONG:
            lost[url] = "the service cannot be reached"
    yield from embedding(patient, lost, nobody)
    yield from recognising(patient, lost, nobody)
    yield from indexing(patient, lost, nobody)
    if patient.settings.passwords:
        yield tried("passwords", lambda: f"{len(passwords(patient.settings.passwords)):,} to try")
    yield source(patient)
    if patient.embeds_at or patient.searches_at or patient.recognises_at:
        from ingest.doctor.network import in_step

        told = any(service.ahead is not None for service in services)
        yield tried("clock", lambda: in_step(services), "" if told else "no service told the time")


def signed_in(patient: Patient, token: TokenCache) -> str:
    """Which credential answers, and who it is. Raises ConfigError for nobody, or a stranger."""
    token.current()
    who, wanted = token.who(), patient.settings.tenant
    # A tenant may also be named by its domain, which a token does not tell.
    if wanted.count("-") and who.tenant and who.tenant != wanted.lower():
        raise ConfigError(
            f"the token is from tenant {who.tenant}, and AZURE_TENANT_ID is {wanted}: sign in "
            f"there (az login --tenant {wanted}), or set AZURE_TENANT_ID to the token's"
        )
    return f"{who}, by {answering(patient.to.login.credential())}"


def endpoints(patient: Patient) -> Iterator[tuple[str, str, Fetch, str]]:
    """The services: name, URL, how requests go there, and the variable for its certificates."""
    if not (patient.embeds_at or patient.searches_at or patient.recognises_at):
        return
    from ingest.doctor.network import by_openai, by_requests

    for url in dict.fromkeys(patient.embeds_at):
        yield "embedder", url, by_openai, "SSL_CERT_FILE"
    if patient.recognises_at:
        yield "ocr", patient.recognises_at, by_requests, "REQUESTS_CA_BUNDLE"
    if patient.searches_at:
        yield "search", patient.searches_at, by_requests, "REQUESTS_CA_BUNDLE"


def reach(url: str, fetch: Fetch, trust: str, services: list[Reached]) -> str:
    """That a service answers, in words; it is added to `services`. Raises ConfigError."""
    from ingest.doctor.network import reached

    services.append(reached(url, fetch, trust))
    return str(services[-1])


def source(patient: Patient) -> Finding:
    """Whether the roots can be listed, and how much is in them."""
    unless = "" if patient.named else "name a root, or set INGEST_ROOT"
    return tried("source", lambda: counted(patient), unless)


def counted(patient: Patient) -> str:
    """What is in the roots, in words. Raises ConfigError if that is nothing, or cannot be seen."""
    with connect.roots(patient.named, patient.settings, patient.to) as roots:
        return "; ".join(map(contents, roots))


def contents(root: Root) -> str:
    """What is in one root."""
    odd: list[Oddity] = []
    pdfs = 0
    for item in root.listed():
        if isinstance(item, Source):
            pdfs += 1
        elif isinstance(item, Oddity) and not item.harmless:
            odd.append(item)
    if not pdfs:
        raise ConfigError(f"{root.name} has no PDFs: check the path")
    more = f", {len(odd):,} that cannot be read ({odd[0].name}: {odd[0].reason})" if odd else ""
    return f"{root.name}: {pdfs:,} PDFs{more}"
