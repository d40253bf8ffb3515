"""What the services allow, each asked by the least call that shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ingest.azure.roles import COGNITIVE_USER, INDEX_DATA, OPENAI_USER, SEARCH_SERVICE, TAKE_TOKENS
from ingest.commands.doctor.finding import Finding, Patient, Verdict, tried
from ingest.config import factory as connect
from ingest.config.reader import document_intelligence, recogniser
from ingest.errors import IngestError, RoleError

if TYPE_CHECKING:
    from ingest.azure.token_cache import TokenCache
    from ingest.embed import Embedder
    from ingest.embed.deployments import Endpoint
    from ingest.index.azure.index import AzureIndex

ROLE = "role"
BY_KEY = "a key is used, which opens everything"
HELD = "{}: held"
NOT_NEEDED = "{}: not held, and not needed while the index is there"


def embedding(patient: Patient, lost: Mapping[str, str], nobody: str) -> Iterator[Finding]:
    """The role and each deployment, or the local model. `lost` and `nobody` say why not to ask."""
    if not patient.embeds_at:
        yield tried("embedder", lambda: local_model(patient))
        return
    try:
        endpoints = connect.endpoints(patient.settings, patient.embeds_at)
    except IngestError as error:
        yield Finding("deployment", Verdict.WRONG, str(error))
        return
    key = connect.embedder_key(patient.settings, patient.to)
    for endpoint in endpoints:
        unless = lost.get(endpoint.url) or ("" if isinstance(key, str) else nobody)
        yield from deployment(patient, endpoint, key, unless)


def deployment(
    patient: Patient, endpoint: Endpoint, key: str | TokenCache, unless: str
) -> Iterator[Finding]:
    """The role, where one is needed, and the deployment: one word is embedded."""
    from ingest.embed import openai_probe as trial

    def role(verdict: Verdict, text: str) -> Iterator[Finding]:
        if not isinstance(key, str):
            yield Finding(ROLE, verdict, text)

    if unless:
        yield from role(Verdict.UNKNOWN, f"{OPENAI_USER.name} ({unless})")
        yield Finding("deployment", Verdict.UNKNOWN, unless)
        return
    try:
        answer = trial.tried(endpoint, key, patient.to.patience)
    except RoleError as error:
        yield from role(Verdict.WRONG, str(error))
        yield Finding("deployment", Verdict.UNKNOWN, "the role is needed to ask it")
    except IngestError as error:
        yield from role(Verdict.UNKNOWN, f"{OPENAI_USER.name} (no deployment answered)")
        yield Finding("deployment", Verdict.WRONG, str(error))
    else:
        yield from role(Verdict.RIGHT, HELD.format(OPENAI_USER.name))
        yield tried("deployment", lambda: trial.described(answer, endpoint))


def local_model(patient: Patient) -> str:
    """The model on this machine, in words. Raises ConfigError if it is not installed."""
    model = connect.embedder(patient.settings, patient.to)
    model.embed(["probe"])
    return f"{model.model} on this machine, {model.dimensions} dimensions"


def recognising(patient: Patient, lost: Mapping[str, str], nobody: str) -> Iterator[Finding]:
    """What reads scanned pages: the role and the model of a service, or the local one.

    Nothing is sent.
    """
    if not patient.recognises_at:
        if patient.settings.ocr:
            yield tried("ocr", lambda: f"{recogniser(patient.settings)} on this machine")
        return
    if unless := lost.get(patient.recognises_at) or nobody:
        yield Finding(ROLE, Verdict.UNKNOWN, f"{COGNITIVE_USER.name} ({unless})")
        yield Finding("model", Verdict.UNKNOWN, unless)
        return
    service = document_intelligence(patient.settings, patient.to)
    try:
        answer = service.described()
    except RoleError as error:
        yield Finding(ROLE, Verdict.WRONG, str(error))
        yield Finding("model", Verdict.UNKNOWN, "the role is needed to ask it")
    except IngestError as error:
        yield Finding(ROLE, Verdict.UNKNOWN, f"{COGNITIVE_USER.name} (no model answered)")
        yield Finding("model", Verdict.WRONG, str(error))
    else:
        yield Finding(ROLE, Verdict.RIGHT, HELD.format(COGNITIVE_USER.name))
        yield Finding("model", Verdict.RIGHT, f"{answer}, paid by the page")
    finally:
        service.close()


def indexing(patient: Patient, lost: Mapping[str, str], nobody: str) -> Iterator[Finding]:
    """The roles and the index. Nothing is created and nothing is written."""
    tokens = patient.searches_at and not patient.settings.search_key
    unless = lost.get(patient.searches_at) or (nobody if tokens else "")
    try:
        model = connect.embedder(patient.settings, patient.to)
    except IngestError:
        unless = unless or "what embeds must be right first"
    if unless:
        if tokens:
            yield Finding(ROLE, Verdict.UNKNOWN, f"{INDEX_DATA.name} ({unless})")
            yield Finding(ROLE, Verdict.UNKNOWN, f"{SEARCH_SERVICE.name} ({unless})")
        yield Finding("index", Verdict.UNKNOWN, unless)
        return
    if patient.searches_at:
        yield from on_service(patient, model)
    else:
        yield tried("index", lambda: on_disk(patient, model))
    model.close()


def on_disk(patient: Patient, model: Embedder) -> str:
    """What the folder holds, in words. Raises ConfigError if it cannot be used."""
    index = connect.index(patient.settings, model, patient.to)
    try:
        held = index.totals()
    finally:
        index.close()
    where = connect.index_place(patient.settings)
    if not held.sources:
        return f"{where}: empty, or not there yet: ingest run fills it"
    return f"{where}: {held.sources:,} files, {held.chunks:,} chunks"


def on_service(patient: Patient, model: Embedder) -> Iterator[Finding]:
    """Both roles, and the index as far as they show it."""
    from ingest.index.azure.probe import may_write

    keyed = bool(patient.settings.search_key)
    index = connect.azure_index(patient.settings, patient.to, may_be_absent=True)
    try:
        may_write(index)
    except RoleError as error:
        yield Finding(ROLE, Verdict.WRONG, str(error))
        yield from defined(patient, model, index, writes=False)
    except IngestError as error:
        yield Finding("key" if keyed else ROLE, Verdict.WRONG, str(error))
        yield Finding("index", Verdict.UNKNOWN, "the service must accept us first")
    else:
        if not keyed:
            yield Finding(ROLE, Verdict.RIGHT, HELD.format(INDEX_DATA.name))
        yield from defined(patient, model, index, writes=True)
    finally:
        index.close()


def defined(
    patient: Patient, model: Embedder, index: AzureIndex, *, writes: bool
) -> Iterator[Finding]:
    """The role that defines an index, and the index itself; `writes`: the other role is held."""
    from ingest.index.azure import probe as trial

    chosen = patient.settings
    try:
        found = trial.definition_of(index)
    except RoleError as error:
        if writes and trial.there(index):
            yield Finding(ROLE, Verdict.RIGHT, NOT_NEEDED.format(SEARCH_SERVICE.name))
            yield tried("index", lambda: f"{trial.held(index)}; its fields cannot be seen")
        else:
            hint = "" if writes else f"; if both are held, it takes keys only: {TAKE_TOKENS}"
            yield Finding(ROLE, Verdict.WRONG, f"{error}{hint}")
            yield Finding("index", Verdict.UNKNOWN, "a role is needed to see it")
        return
    except IngestError as error:
        yield Finding("index", Verdict.WRONG, str(error))
        return
    if not chosen.search_key:
        yield Finding(ROLE, Verdict.RIGHT, HELD.format(SEARCH_SERVICE.name))
    if found is None:
        text = f"{chosen.search_index}: not there yet; ingest run makes it"
        yield Finding("index", Verdict.RIGHT, text)
    elif not writes:
        yield Finding("index", Verdict.UNKNOWN, "a role is needed to look into it")
    else:
        wanted = connect.wanted_index(chosen, model.dimensions)
        yield tried("index", lambda: trial.described(index, found, wanted))
