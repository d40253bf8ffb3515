"""Generations of an index on Azure AI Search: indexes, and an alias that names the current one.

Applications query the alias. Invariants: the alias moves only to a complete index, and a rebuild
changes nothing of the current index, except that it makes the vectors of an earlier version
retrievable.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from contextlib import closing
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from azure.search.documents.indexes.models import SearchAlias, SearchIndex

from ingest.azure.roles import SEARCH_SERVICE_CONTRIBUTOR
from ingest.errors import ConfigError, ServiceError
from ingest.index.azure.create import ensure_index
from ingest.index.azure.definition import find_changed_analyzers, find_incompatibilities
from ingest.index.azure.foreign import RECORDS_SUFFIX
from ingest.index.azure.index import AzureIndex
from ingest.index.generations import NoAliasError, new_timestamp, newest_unfinished
from ingest.index.schema import VECTOR_FIELD

T = TypeVar("T")

log = logging.getLogger(__name__)

GENERATION_DOCUMENT_KEY = "generation"  # of the document that names the index before this one
ALIAS_PROPAGATION_SECONDS = 10.0  # until every replica of a service follows a moved alias
VECTORS_VISIBLE_SECONDS = 60  # until a field that was made retrievable can be read, at most


class AzureGenerations:
    """Generations behind an alias. New ones take vectors of the model `filled_by`.

    `current` raises ConfigError if the name belongs to an index instead of an alias.
    """

    def __init__(
        self,
        name: str,
        open_index: Callable[[str], AzureIndex],
        definition_of: Callable[[str], SearchIndex],
        filled_by: tuple[str, int] | None = None,
        prepare: Callable[[AzureIndex, SearchIndex], None] = ensure_index,
    ) -> None:
        self.name = name
        self.prepare = prepare
        self.open_index = open_index
        self.definition_of = definition_of
        self.filled_by = filled_by
        self.alias_index = open_index(name)
        self.indexes = self.alias_index.documents.indexes
        self.name_pattern = re.compile(rf"{re.escape(name)}-(\d{{8}}t\d{{6}})")

    def close(self) -> None:
        self.alias_index.close()

    def names(self) -> list[str]:
        existing = self.list_index_names()
        ours = sorted(name for name in existing if self.name_pattern.fullmatch(name))
        before = {str(self.read_note(name).get("before", "")) for name in ours} | {self.current()}
        # An index with a name of its own was there before the alias, so it is the oldest.
        return [*sorted(before & existing - set(ours)), *ours]

    def list_index_names(self) -> set[str]:
        """List all indexes of the service."""
        return set(self.call_with_retry(lambda: list(self.indexes.list_index_names())))

    def current(self) -> str:
        alias = self.call_or_none(lambda: self.indexes.get_alias(self.name))
        if alias is not None:
            return str(alias.indexes[0])
        if self.call_or_none(lambda: self.indexes.get_index(self.name)) is not None:
            raise NoAliasError(
                f"{self.name} on {self.endpoint} is an index, and only an alias can be moved to "
                "another one: ingest rebuild --alias NAME creates an alias for it, with a new name"
            )
        return ""

    @property
    def endpoint(self) -> str:
        return self.alias_index.documents.endpoint

    def create_alias(self, alias: str) -> None:
        """Create an alias for the index that has this object's name."""
        aliases = {
            a.name: a.indexes
            for a in self.call_with_retry(lambda: list(self.indexes.list_aliases()))
        }
        existing = self.list_index_names()
        if self.name in aliases:
            raise ConfigError(f"{self.name} on {self.endpoint} is an alias already: rebuild it")
        if self.name not in existing:
            raise ConfigError(
                f"{self.name} on {self.endpoint} does not exist: ingest rebuild without --alias "
                "creates an index and an alias of that name"
            )
        if alias in existing or aliases.get(alias, [self.name]) != [self.name]:
            raise ConfigError(f"{alias} on {self.endpoint} exists already: choose another --alias")
        self.point_alias(alias, self.name)

    def open(self, name: str) -> AzureIndex:
        return self.open_index(name)

    def resume_or_create(self) -> tuple[str, AzureIndex]:
        names, current = self.names(), self.current()
        unfinished = newest_unfinished(names, current)
        if unfinished and not self.is_compatible(unfinished):
            log.info("%s was begun with other settings: deleting it", unfinished)
            self.drop(unfinished)
            unfinished = ""
        timestamps = [match[1] for name in names if (match := self.name_pattern.fullmatch(name))]
        name = unfinished or f"{self.name}-{new_timestamp(timestamps)}"
        index = self.open_index(name)
        index.filled_by = self.filled_by
        try:
            self.prepare(index, self.definition_of(name))
            if current:
                self.note_previous(index, current)
                if not index.target.is_foreign:
                    self.reveal_vectors(current)
        except BaseException:
            index.close()
            raise
        return name, index

    def is_compatible(self, name: str) -> bool:
        """Return True if an index can be filled without changing its definition."""
        found = self.call_with_retry(lambda: self.indexes.get_index(name))
        wanted = self.definition_of(name)
        return not any(find_incompatibilities(found, wanted)) and not find_changed_analyzers(
            found, wanted
        )

    def note_previous(self, index: AzureIndex, current: str) -> None:
        """Note in a new index which one it is to replace."""
        if self.read_note(index.target.documents.name).get("before") == current:
            return
        index.documents.save_json(GENERATION_DOCUMENT_KEY, json.dumps({"before": current}))

    def read_note(self, name: str) -> dict[str, Any]:
        """Read the note of an index about the one before it; empty if there is none."""
        with closing(self.open_index(name)) as index:
            text = index.documents.read_json(GENERATION_DOCUMENT_KEY)
        note: dict[str, Any] = {} if text is None else json.loads(text)
        return note

    def reveal_vectors(self, name: str) -> None:
        """Make the vectors of an index retrievable if they are not, and wait until they are."""
        found = self.call_with_retry(lambda: self.indexes.get_index(name))
        hidden = [f for f in found.fields if f.name == VECTOR_FIELD and not f.retrievable]
        if not hidden:
            return
        for field in hidden:
            field.retrievable = True
        self.alias_index.documents.save_definition(found)
        self.wait_for_vectors(name)

    def wait_for_vectors(self, name: str) -> None:
        """Wait until the service returns the vectors. Raises ServiceError on timeout."""
        with closing(self.open_index(name)) as index:
            some = [chunk.id for chunk in islice(index.chunks(text=False), 1)]
            for second in range(VECTORS_VISIBLE_SECONDS):
                try:
                    if not some or index.vectors(some):
                        return
                except ServiceError:
                    if second == VECTORS_VISIBLE_SECONDS - 1:
                        raise
                self.sleep(1)
            raise ServiceError(
                f"{name} on {self.endpoint} does not return its vectors yet: run again"
            )

    def sleep(self, seconds: float) -> None:
        self.alias_index.documents.retry_policy.sleep(seconds)

    def switch(self, name: str, fence: Callable[[], None] = lambda: None) -> None:
        self.point_alias(self.name, name, fence)

    def point_alias(self, alias: str, name: str, fence: Callable[[], None] = lambda: None) -> None:
        """Point an alias at an index, and wait until every replica of the service follows."""
        made = SearchAlias(name=alias, indexes=[name])

        def point() -> None:
            fence()
            self.indexes.create_or_update_alias(made)

        self.call_with_retry(point)
        log.warning(
            "waiting %.0f s until every replica of %s follows the alias",
            ALIAS_PROPAGATION_SECONDS,
            self.endpoint,
        )
        self.sleep(ALIAS_PROPAGATION_SECONDS)

    def drop(self, name: str) -> bool:
        if not self.name_pattern.fullmatch(name):
            return False  # not created by a rebuild: applications may query it by its own name
        names = (name + RECORDS_SUFFIX, name) if self.alias_index.target.is_foreign else (name,)
        for each in names:
            self.call_with_retry(partial(self.indexes.delete_index, each))
        return True

    def call_with_retry(self, ask: Callable[[], T]) -> T:
        """Call the service by the retry policy."""
        return self.alias_index.documents.call_with_retry(ask, SEARCH_SERVICE_CONTRIBUTOR)

    def call_or_none(self, ask: Callable[[], T]) -> T | None:
        """Call the service by the retry policy; None on 404."""
        return self.alias_index.documents.call_or_default(ask, None, SEARCH_SERVICE_CONTRIBUTOR)
