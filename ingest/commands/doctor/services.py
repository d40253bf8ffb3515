"""Check roles, deployments and the index, each with the cheapest request that shows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ingest.azure.roles import (
    COGNITIVE_USER,
    ENABLE_TOKENS_COMMAND,
    INDEX_DATA_CONTRIBUTOR,
    OPENAI_USER,
    SEARCH_SERVICE_CONTRIBUTOR,
)
from ingest.azure.token_cache import TokenCache
from ingest.commands.doctor.finding import (
    ROLE_CHECK,
    DoctorContext,
    DoctorFinding,
    Verdict,
    role_held,
    role_unknown,
    run_probe,
)
from ingest.commands.doctor.profile import check_foreign_index
from ingest.config import embedding
from ingest.config import index as index_config
from ingest.config.profile import load_profile
from ingest.config.reader import ocr_engine_name, open_document_intelligence
from ingest.embed import Embedder
from ingest.embed.deployments import MODEL_DIMENSIONS, Endpoint
from ingest.errors import IngestError, RoleError

if TYPE_CHECKING:
    from ingest.embed.openai_probe import ProbeResult
    from ingest.index.azure.index import AzureIndex


def check_embedding(
    context: DoctorContext, unreachable: Mapping[str, str], identity_problem: str
) -> Iterator[DoctorFinding]:
    """Check the role and each deployment, or the local model.

    `unreachable` (URL: reason) and `identity_problem` say why a service is not asked.
    """
    if not context.embedding_endpoints:
        yield run_probe("embedder", lambda: check_local_model(context))
        return
    try:
        endpoints = embedding.embedding_endpoints(context.settings)
        key = embedding.embedder_key(context.settings, context.connections)
    except IngestError as error:
        yield DoctorFinding("deployment", Verdict.WRONG, str(error))
        return
    for endpoint in endpoints:
        unless = unreachable.get(endpoint.url) or ("" if isinstance(key, str) else identity_problem)
        yield from check_deployment(context, endpoint, key, unless)


def check_deployment(
    context: DoctorContext, endpoint: Endpoint, key: str | TokenCache, skip_reason: str
) -> Iterator[DoctorFinding]:
    """Check the role, unless a key is used, and the deployment, by embedding one word."""
    from ingest.embed.openai_probe import describe_deployment, probe_deployment

    has_role = not isinstance(key, str)
    if skip_reason:
        if has_role:
            yield role_unknown(OPENAI_USER, skip_reason)
        yield DoctorFinding("deployment", Verdict.UNKNOWN, skip_reason)
        return
    try:
        answer = probe_deployment(endpoint, key, context.connections.retry_policy)
    except RoleError as error:
        if has_role:
            yield DoctorFinding(ROLE_CHECK, Verdict.WRONG, str(error))
        yield DoctorFinding("deployment", Verdict.UNKNOWN, "the role is required to check it")
    except IngestError as error:
        if has_role:
            yield role_unknown(OPENAI_USER, "no deployment answered")
        yield DoctorFinding("deployment", Verdict.WRONG, str(error))
    else:
        if has_role:
            yield role_held(OPENAI_USER)
        yield run_probe(
            "deployment",
            lambda: describe_deployment(answer, endpoint) + describe_vectorizer(context, answer),
        )
        yield from check_retirement(endpoint, key, answer.model or endpoint.model)


def check_retirement(
    endpoint: Endpoint, key: str | TokenCache, model: str
) -> Iterator[DoctorFinding]:
    """Tell when the model retires, by the service or else by Microsoft's schedule."""
    from ingest.embed.openai_probe import fetch_retirement
    from ingest.embed.retirement import describe_retirement, scheduled_retirement

    found = fetch_retirement(endpoint, key, model) or scheduled_retirement(model)
    if found:
        today = datetime.now(UTC).date()
        yield DoctorFinding("retirement", Verdict.RIGHT, describe_retirement(found, today))


def describe_vectorizer(context: DoctorContext, answer: ProbeResult) -> str:
    """Describe what a model means for the index on a search service; "" for one that it calls."""
    has_vectorizer = context.search_endpoint and not context.settings.embedder
    if not has_vectorizer or not answer.model or answer.model in MODEL_DIMENSIONS:
        return ""
    return "; the search service cannot call it, so an index gets no vectorizer"


def check_local_model(context: DoctorContext) -> str:
    """Describe the local model. Raises ConfigError if it is not installed."""
    model = embedding.create_embedder(context.settings, context.connections)
    model.embed(["probe"])
    return f"{model.model} on this machine, {model.dimensions} dimensions"


def check_ocr(
    context: DoctorContext, unreachable: Mapping[str, str], identity_problem: str
) -> Iterator[DoctorFinding]:
    """Check OCR: the role and the model of a service, or the local engine. Sends no page."""
    if not context.ocr_endpoint:
        if context.settings.ocr:
            yield run_probe("ocr", lambda: f"{ocr_engine_name(context.settings)} on this machine")
        return
    if unless := unreachable.get(context.ocr_endpoint) or identity_problem:
        yield role_unknown(COGNITIVE_USER, unless)
        yield DoctorFinding("model", Verdict.UNKNOWN, unless)
        return
    try:
        service = open_document_intelligence(context.settings, context.connections)
    except IngestError as error:  # its host may not receive a token
        yield DoctorFinding("model", Verdict.WRONG, str(error))
        return
    try:
        answer = service.describe_model()
    except RoleError as error:
        yield DoctorFinding(ROLE_CHECK, Verdict.WRONG, str(error))
        yield DoctorFinding("model", Verdict.UNKNOWN, "the role is required to check it")
    except IngestError as error:
        yield role_unknown(COGNITIVE_USER, "no model answered")
        yield DoctorFinding("model", Verdict.WRONG, str(error))
    else:
        yield role_held(COGNITIVE_USER)
        yield DoctorFinding("model", Verdict.RIGHT, f"{answer}, billed per page")
    finally:
        service.close()


def check_index_access(
    context: DoctorContext, unreachable: Mapping[str, str], identity_problem: str
) -> Iterator[DoctorFinding]:
    """Check the roles and the index. Creates and writes nothing."""
    uses_tokens = context.search_endpoint and not context.settings.search_key
    unless = unreachable.get(context.search_endpoint) or (identity_problem if uses_tokens else "")
    try:
        load_profile(context.settings)
    except IngestError as error:
        yield DoctorFinding("index", Verdict.WRONG, str(error))
        return
    try:
        model = embedding.create_embedder(context.settings, context.connections)
    except IngestError:
        unless = unless or "fix the embedder first"
    if unless:
        if uses_tokens:
            yield role_unknown(INDEX_DATA_CONTRIBUTOR, unless)
            yield role_unknown(SEARCH_SERVICE_CONTRIBUTOR, unless)
        yield DoctorFinding("index", Verdict.UNKNOWN, unless)
        return
    if context.search_endpoint and load_profile(context.settings).is_foreign:
        yield from check_foreign_index(context, model)
    elif context.search_endpoint:
        yield from check_azure_index(context, model)
    else:
        yield run_probe("index", lambda: check_local_index(context, model))
    model.close()


def check_local_index(context: DoctorContext, model: Embedder) -> str:
    """Describe the index in a folder. Raises ConfigError if it cannot be used."""
    index = index_config.open_index(context.settings, model, context.connections)
    try:
        totals = index.totals()
        languages = Counter(record.details.language for record in index.records())
    finally:
        index.close()
    where = index_config.index_location(context.settings)
    if not totals.sources:
        return f"{where}: empty or missing; ingest run fills it"
    described = f"{where}: {totals.describe()}"
    advice = embedding.suggest_multilingual(languages, context.settings)
    return f"{described}; {advice}" if advice else described


def check_azure_index(context: DoctorContext, model: Embedder) -> Iterator[DoctorFinding]:
    """Check both roles, and the index as far as they give access to it."""
    from ingest.index.azure.probe import check_write_access

    has_key = bool(context.settings.search_key)
    try:
        index = index_config.open_azure_index(
            context.settings, context.connections, may_be_absent=True
        )
    except IngestError as error:  # its host may not receive a token
        yield DoctorFinding("index", Verdict.WRONG, str(error))
        return
    try:
        check_write_access(index)
    except RoleError as error:
        yield DoctorFinding(ROLE_CHECK, Verdict.WRONG, str(error))
        yield from check_index_definition(context, model, index, can_write=False)
    except IngestError as error:
        yield DoctorFinding("key" if has_key else ROLE_CHECK, Verdict.WRONG, str(error))
        yield DoctorFinding("index", Verdict.UNKNOWN, "fix access to the service first")
    else:
        if not has_key:
            yield role_held(INDEX_DATA_CONTRIBUTOR)
        yield from check_index_definition(context, model, index, can_write=True)
    finally:
        index.close()


def check_index_definition(
    context: DoctorContext, model: Embedder, index: AzureIndex, *, can_write: bool
) -> Iterator[DoctorFinding]:
    """Check the role to create indexes, and the index; `can_write`: the data role is held."""
    from ingest.index.azure import probe

    settings = context.settings
    try:
        definition = index.documents.fetch_definition()
    except RoleError as error:
        if can_write and probe.index_exists(index):
            text = "not held, and not needed while the index exists"
            yield DoctorFinding(
                ROLE_CHECK, Verdict.RIGHT, f"{SEARCH_SERVICE_CONTRIBUTOR.name}: {text}"
            )
            yield run_probe(
                "index", lambda: f"{probe.describe_contents(index)}; its fields cannot be read"
            )
        else:
            keys_only = (
                f"; if both are held, the service accepts only API keys: {ENABLE_TOKENS_COMMAND}"
            )
            text = f"{error}{'' if can_write else keys_only}"
            yield DoctorFinding(ROLE_CHECK, Verdict.WRONG, text)
            yield DoctorFinding("index", Verdict.UNKNOWN, "a role is required to read it")
        return
    except IngestError as error:
        yield DoctorFinding("index", Verdict.WRONG, str(error))
        return
    if not settings.search_key:
        yield role_held(SEARCH_SERVICE_CONTRIBUTOR)
    if definition is None:
        text = f"{settings.search_index}: does not exist yet; ingest run creates it"
        yield DoctorFinding("index", Verdict.RIGHT, text)
    elif not can_write:
        yield DoctorFinding("index", Verdict.UNKNOWN, "a role is required to read it")
    else:
        expected = index_config.index_definition(settings, model.dimensions)
        yield run_probe("index", lambda: probe.describe_azure_index(index, definition, expected))
