"""Find the problems that would stop a run, in the order in which a run would fail.

Writes nothing, embeds one word at most, and has one small picture described at most. The remedies
come from the code in which a run would fail; this module only decides which checks to
make, and which of them a failure makes impossible.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ingest.azure.credential import credential_name
from ingest.azure.token_cache import TokenCache
from ingest.commands.doctor.env_names import describe_overrides, find_setting_problems
from ingest.commands.doctor.figures import check_figures, check_image_store
from ingest.commands.doctor.finding import (
    PROBE_RETRY_SECONDS,
    DoctorContext,
    DoctorFinding,
    Verdict,
    run_probe,
)
from ingest.commands.doctor.services import check_embedding, check_index_access, check_ocr
from ingest.config.connections import create_connections
from ingest.config.embedding import embedder_locations
from ingest.config.index import index_name
from ingest.config.reader import sandbox_limits
from ingest.config.settings import Settings, build_settings, environment_settings
from ingest.config.sources import open_roots
from ingest.errors import ConfigError
from ingest.extract.passwords import read_passwords
from ingest.extract.sandbox.pool import missing_layers
from ingest.models import ListingIssue, Source
from ingest.pipeline.reader.prepare import document_pool
from ingest.runtime.formatting import pluralize
from ingest.sources import Root

if TYPE_CHECKING:
    from ingest.commands.doctor.network import FetchHeaders, ReachedEndpoint


def diagnose(
    environment: Mapping[str, str],
    file: Mapping[str, str],
    flags: Mapping[str, Any],
    arguments: Sequence[str],
) -> Iterator[DoctorFinding]:
    """Run all checks; yields each finding as soon as it is known.

    `file` is the content of .env; `arguments` are the roots.
    """
    problems = find_setting_problems(environment, flags, file)
    for problem in problems:
        yield DoctorFinding("settings", Verdict.WRONG, problem)
    try:
        settings = build_settings(environment, flags)
    except ConfigError as error:
        yield DoctorFinding("settings", Verdict.WRONG, str(error))
        yield DoctorFinding("all else", Verdict.UNKNOWN, "fix the settings first")
        return
    if not problems:
        text = describe_settings(settings, environment, file)
        yield DoctorFinding("settings", Verdict.RIGHT, text)
    retry_seconds = min(settings.retry_seconds, PROBE_RETRY_SECONDS)
    brief = replace(settings, retry_seconds=retry_seconds, wait_for_roles=0.0)
    yield from check_services(DoctorContext(brief, create_connections(brief), arguments))


def describe_settings(
    settings: Settings, environment: Mapping[str, str], file: Mapping[str, str]
) -> str:
    """Describe the settings in effect."""
    number = sum(bool(environment.get(item.metadata["env"])) for item in environment_settings())
    parts = [
        f"{number} set",
        f"embedder {', '.join(embedder_locations(settings))}",
        f"index {index_name(settings)}",
        *describe_overrides(environment, file),
    ]
    return "; ".join(parts)


def check_services(context: DoctorContext) -> Iterator[DoctorFinding]:
    """Run all checks except the check of the settings."""
    identity_problem = ""
    if context.token_scopes:
        scope = context.connections.cloud.scope(context.token_scopes[0])
        token = TokenCache(context.connections.credential, scope)
        yield run_probe("identity", partial(check_identity, context, token))
        identity_problem = "" if token.cached else "not signed in"
    services: list[ReachedEndpoint] = []
    unreachable: dict[str, str] = {}
    for name, url, fetch, trust in probe_targets(context):
        finding = run_probe(name, partial(check_endpoint, url, fetch, trust, services))
        yield finding
        if finding.verdict is Verdict.WRONG:
            unreachable[url] = "the service cannot be reached"
    yield from check_embedding(context, unreachable, identity_problem)
    yield from check_ocr(context, unreachable, identity_problem)
    yield from check_figures(context, unreachable, identity_problem)
    if context.settings.figures_to:
        yield run_probe("images", partial(check_image_store, context))
    yield from check_index_access(context, unreachable, identity_problem)
    if context.settings.passwords:
        yield run_probe(
            "passwords", lambda: f"{len(read_passwords(context.settings.passwords)):,} to try"
        )
    yield run_probe("sandbox", lambda: check_sandbox(context))
    yield check_roots(context)
    if context.has_services:
        from ingest.commands.doctor.network import check_clock

        known = any(service.clock_ahead is not None for service in services)
        unless = "" if known else "no service sent the time"
        yield run_probe("clock", lambda: check_clock(services), unless)


def check_identity(context: DoctorContext, token: TokenCache) -> str:
    """Describe the identity and its credential. Raises ConfigError for none or a wrong tenant."""
    token.current_token()
    identity, tenant = token.identity(), context.settings.tenant
    # A tenant may also be given by its domain, which a token does not have.
    if tenant.count("-") and identity.tenant and identity.tenant != tenant.lower():
        raise ConfigError(
            f"the token is from tenant {identity.tenant}, and AZURE_TENANT_ID is {tenant}: sign in "
            f"there (az login --tenant {tenant}), or set AZURE_TENANT_ID to the token's"
        )
    return f"{identity}, by {credential_name(context.connections.credential.get())}"


def probe_targets(context: DoctorContext) -> Iterator[tuple[str, str, FetchHeaders, str]]:
    """Services to reach: name, URL, HTTP client, and the variable that names its certificates."""
    if not context.has_services:
        return
    from ingest.commands.doctor.network import fetch_with_openai, fetch_with_requests

    for url in dict.fromkeys(context.embedding_endpoints):
        yield "embedder", url, fetch_with_openai, "SSL_CERT_FILE"
    if context.figures_url and context.figures_url not in context.embedding_endpoints:
        yield "figures", context.figures_url, fetch_with_openai, "SSL_CERT_FILE"
    if context.ocr_endpoint:
        yield "ocr", context.ocr_endpoint, fetch_with_requests, "REQUESTS_CA_BUNDLE"
    if context.search_endpoint:
        yield "search", context.search_endpoint, fetch_with_requests, "REQUESTS_CA_BUNDLE"


def check_endpoint(
    url: str, fetch: FetchHeaders, trust: str, services: list[ReachedEndpoint]
) -> str:
    """Describe a service that answers, and add it to `services`. Raises ConfigError."""
    from ingest.commands.doctor.network import reach_endpoint

    services.append(reach_endpoint(url, fetch, trust))
    return str(services[-1])


def check_sandbox(context: DoctorContext) -> str:
    """Describe the layers of the sandbox on this system. Raises ConfigError if some are lacking."""
    pool = document_pool(sandbox_limits(context.settings))
    try:
        layers = pool.start_process().layers
        found = pool.describe()
    finally:
        pool.close()
    if missing := missing_layers(layers):
        raise ConfigError(f"{missing}: use another kernel or container, or read trusted PDFs only")
    calls = "".join(f"; {text}" for text in found[len(layers) :])
    return f"all layers are active: {', '.join(layers)}{calls}"


def check_roots(context: DoctorContext) -> DoctorFinding:
    """Check that the roots can be listed and hold PDFs."""
    unless = "" if context.named_roots else "name a root, or set INGEST_ROOT"
    return run_probe("source", lambda: describe_roots(context), unless)


def describe_roots(context: DoctorContext) -> str:
    """Describe the content of the roots. Raises ConfigError if one is empty or unreachable."""
    with open_roots(context.named_roots, context.settings, context.connections) as roots:
        return "; ".join(map(describe_root, roots))


def describe_root(root: Root) -> str:
    """Describe the content of one root. Raises ConfigError if it has no PDFs."""
    issues: list[ListingIssue] = []
    pdfs = 0
    for item in root.list():
        if isinstance(item, Source):
            pdfs += 1
        elif isinstance(item, ListingIssue) and not item.harmless:
            issues.append(item)
    if not pdfs:
        raise ConfigError(f"{root.name} has no PDFs: check the path")
    unread = ""
    if issues:
        unread = f", {len(issues):,} that cannot be read ({issues[0].name}: {issues[0].reason})"
    return f"{root.name}: {pluralize(pdfs, 'PDF')}{unread}"
