"""The generations of an index on Azure AI Search: indexes, and an alias that names the one in use.

Applications ask the alias. What must not be broken: it is moved only to an index that is whole, and
is the only thing that is changed about the index in use, but that its vectors can be had meanwhile.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from http import HTTPStatus
from itertools import islice
from typing import Any, TypeVar

from azure.core.exceptions import HttpResponseError
from azure.search.documents.indexes.models import SearchAlias, SearchIndex

from ingest.azure.roles import SEARCH_SERVICE_CONTRIBUTOR
from ingest.errors import ConfigError, ServiceError
from ingest.index.azure.create import ensure_index
from ingest.index.azure.definition import find_changed_analyzers, find_incompatibilities
from ingest.index.azure.index import AzureIndex
from ingest.index.generations import new_timestamp, newest_unfinished
from ingest.index.schema import SUMMARY_FIELD, VECTOR_FIELD

T = TypeVar("T")

log = logging.getLogger(__name__)

GENERATION_DOCUMENT_KEY = "generation"  # of the document in which an index says what it replaces
ALIAS_PROPAGATION_SECONDS = 10.0  # seconds until all of a service follows an alias that was moved
VECTORS_VISIBLE_SECONDS = 60  # seconds in which a field that was made retrievable is


class AzureGenerations:
    """Generations behind an alias, each opened by `open_`, and defined as `wanted` says by name.

    Raises ConfigError if an index has the very name.
    """

    def __init__(
        self,
        name: str,
        open_index: Callable[[str], AzureIndex],
        definition_of: Callable[[str], SearchIndex],
    ) -> None:
        self.name = name
        self.open_index = open_index
        self.definition_of = definition_of
        self.alias_index = open_index(name)
        self.name_pattern = re.compile(rf"{re.escape(name)}-(\d{{8}}t\d{{6}})")
        self.hide_on_close: set[str] = set()  # indexes whose vectors are shown only for us

    def close(self) -> None:
        try:
            for name in sorted(self.hide_on_close):
                self.set_vectors_retrievable(name, retrievable=False)
        finally:
            self.alias_index.close()

    def names(self) -> list[str]:
        there = set(self.call_with_retry(lambda: list(self.alias_index.indexes.list_index_names())))
        ours = sorted(name for name in there if self.name_pattern.fullmatch(name))
        before = {str(self.read_note(name).get("before", "")) for name in ours} | {self.current()}
        # What had a name of its own before the alias came is the oldest of all.
        return [*sorted(before & there - set(ours)), *ours]

    def current(self) -> str:
        alias = self.call_or_none(lambda: self.alias_index.indexes.get_alias(self.name))
        if alias is not None:
            return str(alias.indexes[0])
        if self.call_or_none(lambda: self.alias_index.indexes.get_index(self.name)) is not None:
            raise ConfigError(
                f"{self.name} on {self.endpoint} is an index, and only an alias can be moved to "
                f"another one: ingest rebuild --alias NAME gives it one, under a new name"
            )
        return ""

    @property
    def endpoint(self) -> str:
        return self.alias_index.documents.endpoint

    def create_alias(self, alias: str) -> None:
        """Let an alias of another name stand for the index of this one."""
        known = {
            a.name: a.indexes
            for a in self.call_with_retry(lambda: list(self.alias_index.indexes.list_aliases()))
        }
        there = set(self.call_with_retry(lambda: list(self.alias_index.indexes.list_index_names())))
        if self.name in known:
            raise ConfigError(f"{self.name} on {self.endpoint} is an alias already: rebuild it")
        if self.name not in there:
            raise ConfigError(
                f"{self.name} on {self.endpoint} does not exist: ingest rebuild makes an index, and "
                "the alias of that name, without --alias"
            )
        if alias in there or known.get(alias, [self.name]) != [self.name]:
            raise ConfigError(
                f"{alias} on {self.endpoint} is there already: choose another --alias"
            )
        self.point_alias(alias, self.name)

    def open(self, name: str) -> AzureIndex:
        return self.open_index(name)

    def resume_or_create(self) -> tuple[str, AzureIndex]:
        names, in_use = self.names(), self.current()
        begun = newest_unfinished(names, in_use)
        if begun and not self.is_compatible(begun):
            log.info("%s is not what is wanted any more: removing it", begun)
            self.drop(begun)
            begun = ""
        taken = [match[1] for name in names if (match := self.name_pattern.fullmatch(name))]
        name = begun or f"{self.name}-{new_timestamp(taken)}"
        index = self.open_index(name)
        try:
            ensure_index(index, self.definition_of(name))
            if in_use:
                self.reveal_vectors(index, in_use)
        except BaseException:
            index.close()
            raise
        return name, index

    def is_compatible(self, name: str) -> bool:
        """Whether an index could be filled as it is."""
        found = self.call_with_retry(lambda: self.alias_index.indexes.get_index(name))
        wanted = self.definition_of(name)
        return not any(find_incompatibilities(found, wanted)) and not find_changed_analyzers(
            found, wanted
        )

    def reveal_vectors(self, index: AzureIndex, in_use: str) -> None:
        """Let the vectors of the index in use be had while another one is filled.

        The new one says so before, that it is undone in the end however often this one dies.
        """
        note = self.read_note(index.documents.name)
        if note.get("before") != in_use:
            note = {"before": in_use, "hide": self.has_hidden_vectors(in_use)}
            document = {
                "id": GENERATION_DOCUMENT_KEY,
                "kind": GENERATION_DOCUMENT_KEY,
                SUMMARY_FIELD: json.dumps(note),
            }
            index.documents.raise_if_refused(index.documents.write("upload", [document]))
        if note["hide"]:
            self.hide_on_close.add(in_use)
            self.set_vectors_retrievable(in_use, retrievable=True)

    def read_note(self, name: str) -> dict[str, Any]:
        """What an index says of the one before it."""
        index = self.open_index(name)
        try:
            found = index.documents.get(GENERATION_DOCUMENT_KEY)
        finally:
            index.close()
        note: dict[str, Any] = json.loads(found[SUMMARY_FIELD]) if found else {}
        return note

    def has_hidden_vectors(self, name: str) -> bool:
        """Whether the vectors of an index cannot be had."""
        found = self.call_with_retry(lambda: self.alias_index.indexes.get_index(name))
        return not any(f.name == VECTOR_FIELD and f.retrievable for f in found.fields)

    def set_vectors_retrievable(self, name: str, *, retrievable: bool) -> None:
        """Let the vectors of an index be had, or no longer; when this returns, they can."""
        found = self.call_with_retry(lambda: self.alias_index.indexes.get_index(name))
        for field in found.fields:
            if field.name == VECTOR_FIELD:
                field.retrievable = retrievable
        self.call_with_retry(lambda: self.alias_index.indexes.create_or_update_index(found))
        if retrievable:
            self.wait_for_vectors(name)

    def wait_for_vectors(self, name: str) -> None:
        """Wait until the service shows the vectors. Raises ServiceError if it does not."""
        index = self.open_index(name)
        try:
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
                f"{name} on {self.endpoint} does not show its vectors yet: run again"
            )
        finally:
            index.close()

    def sleep(self, seconds: float) -> None:
        self.alias_index.documents.retry_policy.sleep(seconds)

    def switch(self, name: str) -> None:
        self.point_alias(self.name, name)

    def point_alias(self, alias: str, name: str) -> None:
        """Let an alias stand for an index, and wait until all of the service does."""
        made = SearchAlias(name=alias, indexes=[name])
        self.call_with_retry(lambda: self.alias_index.indexes.create_or_update_alias(made))
        log.warning(
            "waiting %.0f s until all of %s follows the alias",
            ALIAS_PROPAGATION_SECONDS,
            self.endpoint,
        )
        self.sleep(ALIAS_PROPAGATION_SECONDS)

    def drop(self, name: str) -> bool:
        if not self.name_pattern.fullmatch(name):
            return False  # it has a name of its own, by which somebody may ask it
        self.call_with_retry(lambda: self.alias_index.indexes.delete_index(name))
        self.hide_on_close.discard(name)
        return True

    def call_with_retry(self, ask: Callable[[], T]) -> T:
        """The answer, by the policy."""
        return self.alias_index.documents.call_with_retry(ask, SEARCH_SERVICE_CONTRIBUTOR)

    def call_or_none(self, ask: Callable[[], T]) -> T | None:
        """The answer, or None where there is no such thing."""

        def attempt() -> T | None:
            try:
                return ask()
            except HttpResponseError as error:
                if error.status_code == HTTPStatus.NOT_FOUND:
                    return None
                raise

        return self.call_with_retry(attempt)
