"""Check an index of another application: its fields, its vectors, and its records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from ingest.azure.roles import INDEX_DATA_CONTRIBUTOR, SEARCH_SERVICE_CONTRIBUTOR
from ingest.commands.doctor.finding import (
    ROLE_CHECK,
    DoctorContext,
    DoctorFinding,
    Verdict,
    role_held,
    run_probe,
)
from ingest.config import index as index_config
from ingest.config.profile import load_profile
from ingest.embed import Embedder
from ingest.errors import ConfigError, IngestError, RoleError

if TYPE_CHECKING:
    from ingest.index.azure.foreign_target import ForeignTarget
    from ingest.index.azure.index import AzureIndex


def check_foreign_index(context: DoctorContext, model: Embedder) -> Iterator[DoctorFinding]:
    """Check the roles, the index and its vectors. Writes nothing, and embeds one passage."""
    from ingest.index.azure.foreign_target import ForeignTarget
    from ingest.index.azure.probe import check_write_access, compare_vectors

    try:
        index = index_config.open_azure_index(
            context.settings, context.connections, may_be_absent=True
        )
    except RoleError as error:
        yield DoctorFinding(ROLE_CHECK, Verdict.WRONG, str(error))
        yield DoctorFinding("index", Verdict.UNKNOWN, "a role is required to read its fields")
        return
    except IngestError as error:
        yield DoctorFinding("index", Verdict.WRONG, str(error))
        return
    with closing(index):
        target = index.target
        assert isinstance(target, ForeignTarget)
        try:
            check_write_access(index)
        except IngestError as error:
            yield DoctorFinding(ROLE_CHECK, Verdict.WRONG, str(error))
            yield DoctorFinding("index", Verdict.UNKNOWN, "a role is required to write it")
            return
        if not context.settings.search_key:
            yield role_held(INDEX_DATA_CONTRIBUTOR)
        found = run_probe("index", lambda: describe_foreign_index(context, model, index, target))
        yield found
        if found.verdict is Verdict.RIGHT and target.mapping.key:
            yield run_probe("vectors", lambda: compare_vectors(target, model.model, model.embed))


def describe_foreign_index(
    context: DoctorContext, model: Embedder, index: AzureIndex, target: ForeignTarget
) -> str:
    """Describe what an index gets and lacks. Raises ConfigError if it cannot be filled."""
    from ingest.index.azure.foreign import bind_target, check_vector_space, find_vector_problems
    from ingest.index.azure.mapping import describe_losses

    settings, name = context.settings, target.documents.name
    profile = load_profile(settings)
    parts = [f"{name} with the profile {profile.name}"]
    try:
        found = target.documents.fetch_definition()
    except RoleError:
        parts.append(f"its fields as recorded, without {SEARCH_SERVICE_CONTRIBUTOR.name}")
    else:
        if found is None:
            return f"{name} does not exist yet; ingest run creates it as {profile.name} says"
        wanted = index_config.wanted_foreign(settings, model, context.connections)
        if problems := list(find_vector_problems(found, wanted)):
            raise ConfigError(
                f"{name}: {'; '.join(problems)}: set the embedding model of that application"
            )
        if missing := bind_target(target, profile, found):
            parts.append(f"no field for {describe_losses(missing)}: --add-fields adds them")
    mark = target.read_mark()
    if mark and mark["profile"] != profile.name:
        raise ConfigError(
            f"{name} was filled with the profile {mark['profile']}, and INGEST_PROFILE is "
            f"{profile.name}: set it to that one, or run ingest run to write all chunks again"
        )
    index.filled_by = (model.model, model.dimensions)
    check_vector_space(index)
    totals = index.totals()
    parts.append(f"{totals.describe()} by {index.documents.name}")
    if totals.chunks and not target.is_trusted():
        parts.append("it lacks some of them: the next run writes them again")
    return "; ".join(parts)
