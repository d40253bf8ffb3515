"""What would keep a run from working, in the order in which it would be met.

It writes nothing, and embeds one word at most. The advice is that of the code which a run would
fail in: here is only decided what is tried, and what a failure leaves unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ingest.azure.credential import credential_name
from ingest.azure.token_cache import TokenCache
from ingest.commands.doctor.env_names import (
    describe_overrides,
    find_contradictions,
    find_misspellings,
)
from ingest.commands.doctor.finding import DoctorContext, DoctorFinding, Verdict, run_probe
from ingest.commands.doctor.services import check_embedding, check_index_access, check_ocr
from ingest.config.connections import create_connections
from ingest.config.embedding import embedder_locations
from ingest.config.index import index_name
from ingest.config.settings import Settings, build_settings, environment_settings
from ingest.config.sources import open_roots
from ingest.errors import ConfigError
from ingest.extract.passwords import read_passwords
from ingest.models import ListingIssue, Source
from ingest.sources import Root

if TYPE_CHECKING:
    from ingest.commands.doctor.network import FetchHeaders, ReachedEndpoint

PROBE_RETRY_SECONDS = 15.0  # seconds to go on trying one request: a person waits


def diagnose(
    environment: Mapping[str, str],
    file: Mapping[str, str | None],
    flags: Mapping[str, Any],
    arguments: Sequence[str],
) -> Iterator[DoctorFinding]:
    """Every check, as soon as it is done. `file` is what .env holds, `arguments` are the roots."""
    told = {
        item.metadata["env"]: flags[item.name]
        for item in environment_settings()
        if flags.get(item.name)
    }
    troubles = [*find_misspellings(environment), *find_contradictions({**environment, **told})]
    for trouble in troubles:
        yield DoctorFinding("settings", Verdict.WRONG, trouble)
    try:
        chosen = build_settings(environment, flags)
    except ConfigError as error:
        yield DoctorFinding("settings", Verdict.WRONG, str(error))
        yield DoctorFinding("all else", Verdict.UNKNOWN, "mend the settings first")
        return
    if not troubles:
        yield DoctorFinding("settings", Verdict.RIGHT, describe_settings(chosen, environment, file))
    brief = replace(
        chosen, retry_seconds=min(chosen.retry_seconds, PROBE_RETRY_SECONDS), wait_for_roles=0.0
    )
    yield from check_services(DoctorContext(brief, create_connections(brief), arguments))


def describe_settings(
    settings: Settings, environment: Mapping[str, str], file: Mapping[str, str | None]
) -> str:
    """What the settings come to."""
    number = sum(bool(environment.get(item.metadata["env"])) for item in environment_settings())
    parts = [
        f"{number} set",
        f"embedder {', '.join(embedder_locations(settings))}",
        f"index {index_name(settings)}",
        *describe_overrides(environment, file),
    ]
    return "; ".join(parts)


def check_services(context: DoctorContext) -> Iterator[DoctorFinding]:
    """All checks but that of the settings."""
    nobody = ""
    if context.token_scopes:
        token = TokenCache(context.connections.credential, context.token_scopes[0])
        identity = run_probe("identity", partial(check_identity, context, token))
        yield identity
        nobody = "" if token.cached else "nobody is signed in"
    services: list[ReachedEndpoint] = []
    lost: dict[str, str] = {}
    for name, url, fetch, trust in probe_targets(context):
        finding = run_probe(name, partial(check_endpoint, url, fetch, trust, services))
        yield finding
        if finding.verdict is Verdict.WRONG:
            lost[url] = "the service cannot be reached"
    yield from check_embedding(context, lost, nobody)
    yield from check_ocr(context, lost, nobody)
    yield from check_index_access(context, lost, nobody)
    if context.settings.passwords:
        yield run_probe(
            "passwords", lambda: f"{len(read_passwords(context.settings.passwords)):,} to try"
        )
    yield check_roots(context)
    if context.embedding_endpoints or context.search_endpoint or context.ocr_endpoint:
        from ingest.commands.doctor.network import check_clock

        told = any(service.clock_ahead is not None for service in services)
        yield run_probe(
            "clock", lambda: check_clock(services), "" if told else "no service told the time"
        )


def check_identity(context: DoctorContext, token: TokenCache) -> str:
    """Which credential answers, and who it is. Raises ConfigError for nobody, or a stranger."""
    token.current_token()
    who, wanted = token.identity(), context.settings.tenant
    # A tenant may also be named by its domain, which a token does not tell.
    if wanted.count("-") and who.tenant and who.tenant != wanted.lower():
        raise ConfigError(
            f"the token is from tenant {who.tenant}, and AZURE_TENANT_ID is {wanted}: sign in "
            f"there (az login --tenant {wanted}), or set AZURE_TENANT_ID to the token's"
        )
    return f"{who}, by {credential_name(context.connections.credential.get())}"


def probe_targets(context: DoctorContext) -> Iterator[tuple[str, str, FetchHeaders, str]]:
    """The services: name, URL, how requests go there, and the variable for its certificates."""
    if not (context.embedding_endpoints or context.search_endpoint or context.ocr_endpoint):
        return
    from ingest.commands.doctor.network import fetch_with_openai, fetch_with_requests

    for url in dict.fromkeys(context.embedding_endpoints):
        yield "embedder", url, fetch_with_openai, "SSL_CERT_FILE"
    if context.ocr_endpoint:
        yield "ocr", context.ocr_endpoint, fetch_with_requests, "REQUESTS_CA_BUNDLE"
    if context.search_endpoint:
        yield "search", context.search_endpoint, fetch_with_requests, "REQUESTS_CA_BUNDLE"


def check_endpoint(
    url: str, fetch: FetchHeaders, trust: str, services: list[ReachedEndpoint]
) -> str:
    """That a service answers, in words; it is added to `services`. Raises ConfigError."""
    from ingest.commands.doctor.network import reach_endpoint

    services.append(reach_endpoint(url, fetch, trust))
    return str(services[-1])


def check_roots(context: DoctorContext) -> DoctorFinding:
    """Whether the roots can be listed, and how much is in them."""
    unless = "" if context.named_roots else "name a root, or set INGEST_ROOT"
    return run_probe("source", lambda: describe_roots(context), unless)


def describe_roots(context: DoctorContext) -> str:
    """What is in the roots, in words. Raises ConfigError if that is nothing, or cannot be seen."""
    with open_roots(context.named_roots, context.settings, context.connections) as roots:
        return "; ".join(map(describe_root, roots))


def describe_root(root: Root) -> str:
    """What is in one root."""
    odd: list[ListingIssue] = []
    pdfs = 0
    for item in root.list():
        if isinstance(item, Source):
            pdfs += 1
        elif isinstance(item, ListingIssue) and not item.harmless:
            odd.append(item)
    if not pdfs:
        raise ConfigError(f"{root.name} has no PDFs: check the path")
    more = f", {len(odd):,} that cannot be read ({odd[0].name}: {odd[0].reason})" if odd else ""
    return f"{root.name}: {pdfs:,} PDFs{more}"
