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

from ingest.azure.roles import SEARCH_SERVICE
from ingest.errors import ConfigError, ServiceError
from ingest.index.azure.create import ensure
from ingest.index.azure.definition import differences, reanalyzed
from ingest.index.azure.index import AzureIndex
from ingest.index.generations import newest, stamp
from ingest.index.schema import SUMMARY_FIELD, VECTOR_FIELD

T = TypeVar("T")

log = logging.getLogger(__name__)

KEY = "generation"  # of the document in which an index says what it replaces
PROPAGATION = 10.0  # seconds until all of a service follows an alias that was moved
SEEN_WITHIN = 60  # seconds in which a field that was made retrievable is


class Alias:
    """Generations behind an alias, each opened by `open_`, and defined as `wanted` says by name.

    Raises ConfigError if an index has the very name.
    """

    def __init__(
        self,
        name: str,
        open_: Callable[[str], AzureIndex],
        wanted: Callable[[str], SearchIndex],
    ) -> None:
        self.name = name
        self.open = open_
        self.wanted = wanted
        self.via = open_(name)
        self.form = re.compile(rf"{re.escape(name)}-(\d{{8}}t\d{{6}})")
        self.to_hide: set[str] = set()  # indexes whose vectors are shown only for us

    def close(self) -> None:
        try:
            for name in sorted(self.to_hide):
                self.show_vectors(name, shown=False)
        finally:
            self.via.close()

    def names(self) -> list[str]:
        there = set(self.asked(lambda: list(self.via.indexes.list_index_names())))
        ours = sorted(name for name in there if self.form.fullmatch(name))
        before = {str(self.note(name).get("before", "")) for name in ours} | {self.current()}
        # What had a name of its own before the alias came is the oldest of all.
        return [*sorted(before & there - set(ours)), *ours]

    def current(self) -> str:
        alias = self.found(lambda: self.via.indexes.get_alias(self.name))
        if alias is not None:
            return str(alias.indexes[0])
        if self.found(lambda: self.via.indexes.get_index(self.name)) is not None:
            raise ConfigError(
                f"{self.name} on {self.where} is an index, and only an alias can be moved to "
                f"another one: ingest rebuild --alias NAME gives it one, under a new name"
            )
        return ""

    @property
    def where(self) -> str:
        return self.via.documents.endpoint

    def give(self, alias: str) -> None:
        """Let an alias of another name stand for the index of this one."""
        known = {
            a.name: a.indexes for a in self.asked(lambda: list(self.via.indexes.list_aliases()))
        }
        there = set(self.asked(lambda: list(self.via.indexes.list_index_names())))
        if self.name in known:
            raise ConfigError(f"{self.name} on {self.where} is an alias already: rebuild it")
        if self.name not in there:
            raise ConfigError(
                f"{self.name} on {self.where} does not exist: ingest rebuild makes an index, and "
                "the alias of that name, without --alias"
            )
        if alias in there or known.get(alias, [self.name]) != [self.name]:
            raise ConfigError(f"{alias} on {self.where} is there already: choose another --alias")
        self.point(alias, self.name)

    def opened(self, name: str) -> AzureIndex:
        return self.open(name)

    def next(self) -> tuple[str, AzureIndex]:
        names, in_use = self.names(), self.current()
        begun = newest(names, in_use)
        if begun and not self.suits(begun):
            log.info("%s is not what is wanted any more: removing it", begun)
            self.drop(begun)
            begun = ""
        taken = [match[1] for name in names if (match := self.form.fullmatch(name))]
        name = begun or f"{self.name}-{stamp(taken)}"
        index = self.open(name)
        try:
            ensure(index, self.wanted(name))
            if in_use:
                self.show_for(index, in_use)
        except BaseException:
            index.close()
            raise
        return name, index

    def suits(self, name: str) -> bool:
        """Whether an index could be filled as it is."""
        found = self.asked(lambda: self.via.indexes.get_index(name))
        wanted = self.wanted(name)
        return not any(differences(found, wanted)) and not reanalyzed(found, wanted)

    def show_for(self, index: AzureIndex, in_use: str) -> None:
        """Let the vectors of the index in use be had while another one is filled.

        The new one says so before, that it is undone in the end however often this one dies.
        """
        note = self.note(index.documents.name)
        if note.get("before") != in_use:
            note = {"before": in_use, "hide": self.hidden(in_use)}
            document = {"id": KEY, "kind": KEY, SUMMARY_FIELD: json.dumps(note)}
            index.documents.must(index.documents.acted("upload", [document]))
        if note["hide"]:
            self.to_hide.add(in_use)
            self.show_vectors(in_use, shown=True)

    def note(self, name: str) -> dict[str, Any]:
        """What an index says of the one before it."""
        index = self.open(name)
        try:
            found = index.documents.get(KEY)
        finally:
            index.close()
        note: dict[str, Any] = json.loads(found[SUMMARY_FIELD]) if found else {}
        return note

    def hidden(self, name: str) -> bool:
        """Whether the vectors of an index cannot be had."""
        found = self.asked(lambda: self.via.indexes.get_index(name))
        return not any(f.name == VECTOR_FIELD and f.retrievable for f in found.fields)

    def show_vectors(self, name: str, *, shown: bool) -> None:
        """Let the vectors of an index be had, or no longer; when this returns, they can."""
        found = self.asked(lambda: self.via.indexes.get_index(name))
        for field in found.fields:
            if field.name == VECTOR_FIELD:
                field.retrievable = shown
        self.asked(lambda: self.via.indexes.create_or_update_index(found))
        if shown:
            self.wait_for_vectors(name)

    def wait_for_vectors(self, name: str) -> None:
        """Wait until the service shows the vectors. Raises ServiceError if it does not."""
        index = self.open(name)
        try:
            some = [chunk.id for chunk in islice(index.stored(text=False), 1)]
            for second in range(SEEN_WITHIN):
                try:
                    if not some or index.vectors(some):
                        return
                except ServiceError:
                    if second == SEEN_WITHIN - 1:
                        raise
                self.sleep(1)
            raise ServiceError(f"{name} on {self.where} does not show its vectors yet: run again")
        finally:
            index.close()

    def sleep(self, seconds: float) -> None:
        self.via.documents.patience.sleep(seconds)

    def switch(self, name: str) -> None:
        self.point(self.name, name)

    def point(self, alias: str, name: str) -> None:
        """Let an alias stand for an index, and wait until all of the service does."""
        made = SearchAlias(name=alias, indexes=[name])
        self.asked(lambda: self.via.indexes.create_or_update_alias(made))
        log.warning("waiting %.0f s until all of %s follows the alias", PROPAGATION, self.where)
        self.sleep(PROPAGATION)

    def drop(self, name: str) -> bool:
        if not self.form.fullmatch(name):
            return False  # it has a name of its own, by which somebody may ask it
        self.asked(lambda: self.via.indexes.delete_index(name))
        self.to_hide.discard(name)
        return True

    def asked(self, ask: Callable[[], T]) -> T:
        """The answer, by the policy."""
        return self.via.documents.patiently(ask, SEARCH_SERVICE)

    def found(self, ask: Callable[[], T]) -> T | None:
        """The answer, or None where there is no such thing."""

        def gently() -> T | None:
            try:
                return ask()
            except HttpResponseError as error:
                if error.status_code == HTTPStatus.NOT_FOUND:
                    return None
                raise

        return self.asked(gently)
