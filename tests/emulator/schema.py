"""Validation of index definitions: what is allowed, the defaults, and what may change later.

An attribute that is not sent becomes what the service's default is, and for strings that is "yes"
to everything: this is how body text ends up filterable, and long texts are refused.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from tests.emulator.errors import Rejected, invalid
from tests.emulator.server import Json

NAME = re.compile(r"(?=.{2,128}$)[a-z0-9](?:[a-z0-9]|[-_](?![-_]))*[a-z0-9]")
FIELD = re.compile(r"(?!azureSearch)[A-Za-z][A-Za-z0-9_]{0,127}")
VECTORS = {f"Collection(Edm.{kind})" for kind in ("Single", "Half", "Int16", "SByte", "Byte")}
SIMPLE = {
    f"Edm.{kind}"
    for kind in (
        "String",
        "Int32",
        "Int64",
        "Double",
        "Boolean",
        "DateTimeOffset",
        "GeographyPoint",
    )
}
COMPLEX = {"Edm.ComplexType", "Collection(Edm.ComplexType)"}
TYPES = SIMPLE | VECTORS | COMPLEX | {f"Collection({kind})" for kind in SIMPLE}
FIELDS = 1000
DIMENSIONS = 4096
# Of Azure OpenAI, those that a vectorizer can call.
MODELS = ("text-embedding-ada-002", "text-embedding-3-large", "text-embedding-3-small")

# What cannot change once a field exists.
FIXED = (
    "type",
    "key",
    "searchable",
    "filterable",
    "sortable",
    "facetable",
    "analyzer",
    "indexAnalyzer",
    "normalizer",
    "dimensions",
    "stored",
    "vectorSearchProfile",
    "vectorEncoding",
)
# A complex field has none of its own; "stored" is what tells that its parts are kept.
COMPLEX_ATTRIBUTES: Json = {
    **dict.fromkeys(FIXED[1:]),
    **dict.fromkeys(("key", "searchable", "filterable", "sortable", "facetable"), False),
    "retrievable": True,
    "stored": True,
    "searchAnalyzer": None,
    "synonymMaps": [],
}
ANALYSIS = ("analyzers", "tokenizers", "tokenFilters", "charFilters", "normalizers")
COMPRESSIONS = ("scalarQuantization", "binaryQuantization")
HNSW = {"metric": "cosine", "m": 4, "efConstruction": 400, "efSearch": 500}


def normalize(sent: Json, name: str) -> Json:
    """The definition as the service keeps and shows it. Raises Rejected."""
    definition = {key: value for key, value in copy.deepcopy(sent).items() if key[0] != "@"}
    if not NAME.fullmatch(name) or definition.get("name", name) != name:
        message = f"Invalid index name: {name}"
        raise Rejected(400, "InvalidName", message)
    vectors = definition.get("vectorSearch") or {}
    profiles = {profile["name"] for profile in vectors.get("profiles") or []}
    fields = [normalize_field(f, profiles) for f in definition.get("fields") or []]
    check_fields(fields)
    complete_vectors(vectors)
    key = definition.get("encryptionKey")
    if key is not None and not (key.get("keyVaultKeyName") and key.get("keyVaultUri")):
        raise invalid("index : 'encryptionKey' needs 'keyVaultKeyName' and 'keyVaultUri'.")
    return {
        "name": name,
        "defaultScoringProfile": None,
        "scoringProfiles": [],
        "corsOptions": None,
        "suggesters": [],
        **{part: [] for part in ANALYSIS},
        "similarity": {"@odata.type": "#Microsoft.Azure.Search.BM25Similarity"},
        **{key: value for key, value in definition.items() if value is not None},
        "fields": fields,
        "vectorSearch": vectors or None,
    }


def normalize_field(sent: Json, profiles: set[str]) -> Json:
    """A field with all its attributes. Raises Rejected."""
    name, kind = str(sent.get("name")), str(sent.get("type"))
    if not FIELD.fullmatch(name):
        raise Rejected(400, "InvalidName", f"Invalid field name: '{name}'.")
    if kind not in TYPES:
        raise invalid(f"index : The type '{kind}' of field '{name}' is not known.")
    if kind in COMPLEX:
        inner = [normalize_field(f, profiles) for f in sent.get("fields") or []]
        if not inner:
            raise invalid(f"index : The complex field '{name}' has no fields.")
        return {"name": name, "type": kind, **COMPLEX_ATTRIBUTES, "fields": inner}
    vector, text = kind in VECTORS, kind in {"Edm.String", "Collection(Edm.String)"}
    defaults: Json = {
        "key": False,
        "searchable": text,
        "filterable": not vector,
        "retrievable": not vector,
        "stored": True,
        "sortable": not kind.startswith("Collection("),
        "facetable": not vector,
        "analyzer": None,
        "searchAnalyzer": None,
        "indexAnalyzer": None,
        "normalizer": None,
        "dimensions": None,
        "vectorSearchProfile": None,
        "vectorEncoding": None,
        "synonymMaps": [],
    }
    unknown = set(sent) - set(defaults) - {"name", "type", "fields"}
    if unknown:
        raise invalid(f"index : The property '{min(unknown)}' does not exist on type 'field'.")
    made = {
        "name": name,
        "type": kind,
        **defaults,
        **{k: v for k, v in sent.items() if v is not None},
    }
    for problem in find_problems(made, profiles):
        raise Rejected(400, "InvalidField", f"The request is invalid. Details: index : {problem}")
    return made


def find_problems(made: Json, profiles: set[str]) -> Iterator[str]:
    """Errors of a field."""
    name, kind = made["name"], made["type"]
    vector = kind in VECTORS
    if vector:
        if not made["dimensions"] or not 2 <= made["dimensions"] <= DIMENSIONS:
            yield f"The vector field '{name}' needs 'dimensions' from 2 to {DIMENSIONS}."
        if made["vectorSearchProfile"] not in profiles:
            yield f"The vector field '{name}' names an unknown profile."
        if made["filterable"] or made["sortable"] or made["facetable"]:
            yield f"The vector field '{name}' cannot be filterable, sortable or facetable."
    elif made["searchable"] and "Edm.String" not in kind:
        yield f"The field '{name}' of type {kind} cannot be searchable."
    if not made["stored"] and (not vector or made["retrievable"]):
        yield f"The field '{name}' cannot be not stored: it must be a vector, not retrievable."
    if made["sortable"] and kind.startswith("Collection("):
        yield f"The collection '{name}' cannot be sortable."
    if made["key"] and (kind != "Edm.String" or not made["retrievable"]):
        yield f"The key '{name}' must be a retrievable Edm.String."


def check_fields(fields: list[Json]) -> None:
    """Raises Rejected for fields that do not go together."""
    names = [f["name"] for f in fields]
    if len(fields) > FIELDS:
        raise invalid(f"index : An index can have at most {FIELDS} fields.")
    if len(set(names)) < len(names):
        raise invalid("index : Field names must be unique.")
    if sum(f["key"] for f in fields) != 1:
        raise invalid("index : Exactly one field must be the key of the index.")


def complete_vectors(vectors: Json) -> None:
    """Fill in what the service fills in, and see that what is named is there."""
    for algorithm in vectors.get("algorithms") or []:
        if algorithm.get("kind") == "hnsw":
            given = algorithm.get("hnswParameters") or {}
            algorithm["hnswParameters"] = {**HNSW, **given}
    for compression in vectors.get("compressions") or []:
        if compression.get("kind") not in COMPRESSIONS:
            raise invalid(f"index : The compression '{compression.get('kind')}' is not known.")
        if (compression.get("truncationDimension") or 2) < 2:
            raise invalid("index : 'truncationDimension' must be at least 2.")
    for vectorizer in vectors.get("vectorizers") or []:
        callable_by_service(vectorizer)
    parts = (
        ("algorithm", "algorithms"),
        ("vectorizer", "vectorizers"),
        ("compression", "compressions"),
    )
    for profile in vectors.get("profiles") or []:
        for one, many in parts:
            profile.setdefault(one, None)
            known = {item["name"] for item in vectors.get(many) or []}
            if profile[one] not in known and (profile[one] is not None or one == "algorithm"):
                raise invalid(f"index : The profile names the unknown {one} '{profile[one]}'.")


def callable_by_service(vectorizer: Json) -> None:
    """Raises Rejected for a vectorizer with a model or an address that the service cannot call."""
    if vectorizer.get("kind") != "azureOpenAI":
        return
    parameters = vectorizer.get("azureOpenAIParameters") or {}
    model, uri = parameters.get("modelName"), str(parameters.get("resourceUri"))
    if model not in MODELS:
        raise invalid(
            f"index : Invalid value '{model}' for 'modelName' of the vectorizer "
            f"'{vectorizer.get('name')}': expected one of {', '.join(MODELS)}."
        )
    if urlsplit(uri).path not in {"", "/"} or urlsplit(uri).query:
        raise invalid(f"index : 'resourceUri' must be the address of a resource, not '{uri}'.")


def check_change(old: Json, new: Json, *, downtime: bool) -> None:
    """Raises Rejected if the old definition cannot become the new one without a rebuild."""
    fields = {f["name"]: f for f in new["fields"]}
    for existing in old["fields"]:
        name = existing["name"]
        if name not in fields:
            message = f"Existing field '{name}' cannot be deleted."
            raise Rejected(400, "OperationNotAllowed", message, "CannotDeleteExistingField")
        if any(existing[part] != fields[name][part] for part in FIXED):
            message = f"Existing field '{name}' cannot be changed."
            raise Rejected(400, "OperationNotAllowed", message, "CannotChangeExistingField")
    if old.get("similarity") != new.get("similarity") and not downtime:
        raise downtime_needed()
    if any(old[part] != new[part] for part in ANALYSIS) and not downtime:
        raise downtime_needed()
    for part in ("algorithms", "profiles", "compressions"):
        kept = {item["name"]: item for item in (new["vectorSearch"] or {}).get(part) or []}
        for item in (old["vectorSearch"] or {}).get(part) or []:
            if not is_unchanged(item, kept.get(item["name"])):
                message = f"Existing vector search {part} '{item['name']}' cannot be changed."
                raise Rejected(400, "OperationNotAllowed", message, "CannotChangeExistingField")


def is_unchanged(one: Any, other: Any) -> bool:
    """Return whether a configuration is unchanged, but for vectorizers added or exchanged."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return bool(one == other)
    return {**one, "vectorizer": None} == {**other, "vectorizer": None}


def downtime_needed() -> Rejected:
    """Some changes take the index off line, and must be asked for."""
    message = (
        "Index update not allowed because it would cause downtime. In order to add new analyzers, "
        "normalizers, tokenizers, token filters, or character filters to an existing index, set "
        "the 'allowIndexDowntime' query parameter to 'true' in the index update request."
    )
    return Rejected(400, "OperationNotAllowed", message, "CannotChangeAnalysis")
