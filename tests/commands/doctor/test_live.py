"""`ingest doctor --live` measures the services and leaves nothing; the emulator reads it."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from ingest.commands.doctor.live.exchange import scrub
from ingest.commands.doctor.live.live import plan_live, run_live
from ingest.commands.doctor.live.search_probes import is_left_behind, new_index_name
from ingest.commands.doctor.live.summary import summarize
from ingest.config.settings import build_settings
from tests.conftest import Command, environment
from tests.emulator.emulator import Azure, run_emulator
from tests.emulator.gate import hold_requests
from tests.emulator.live import RECORDING_VARIABLE, apply_recording
from tests.fork_server import running_ingest

KEY_ONLY = {"fields": [{"name": "id", "type": "Edm.String", "key": True}]}
KILLED = "ingest-live-20200101t000000-abcdef"


def test_what_the_services_do_is_kept_without_secrets_and_nothing_is_left(
    azure: Azure, command: Command, tmp_path: Path
) -> None:
    """It shows the price first, and writes a recording that I can send to others."""
    azure.openai.tpm = 350_000
    azure.search.added(KILLED, KEY_ONLY)

    done = command("doctor", "--live", "--writes", "1", **azure.environment)

    assert done.returncode == 0, done.stderr
    assert "cost at most 0.14 cents (10,9" in done.stdout
    assert done.stdout.index("cents") < done.stdout.index("embedding service:")
    assert f"deleted {KILLED}, which an earlier probe had left" in done.stdout
    assert azure.search.indexes == {}
    text = (tmp_path / "live.json").read_text()
    for secret in (*azure.identity.issued, azure.identity.default.oid, "127.0.0.1"):
        assert secret not in text + done.stdout[done.stdout.index("embedding service:") :]
    kept = json.loads(text)
    assert kept["errors"] == {}
    assert {len(lags) for lags in kept["search"]["visibility"]["deleted"].values()} == {1}
    assert all(statuses["201"] == 1 for statuses in kept["search"]["race"]["rounds"])
    assert kept["search"]["answers"]["statuses"][0] == [201, 200, 200, 200, 404, 201, 200]
    assert kept["search"]["limits"]["batches"]["1001"]["status"] == 413
    assert kept["search"]["refusals"]["no credentials"]["status"] == 401
    for item in kept["embeddings"]["usage"]["tokens"]:
        assert item["counted"] == item["billed"]
    assert sum(request.tokens for request in azure.openai.requests) < 1000


def test_stopping_it_deletes_the_index(azure: Azure, tmp_path: Path) -> None:
    """^C in the middle of the probes leaves nothing on the service."""
    with hold_requests(azure, "search", "docs/search.post.search") as gate:
        arguments = ("doctor", "--live", "--out", str(tmp_path / "live.json"))
        env = environment() | azure.environment
        with running_ingest(*arguments, cwd=tmp_path, env=env) as process:
            gate.reached()
            assert len(azure.search.indexes) == 1
            process.send(signal.SIGINT)
            gate.opened.set()
            assert process.wait() == 130
    assert azure.search.indexes == {}


def record_live(azure: Azure) -> Any:
    """Recording of the live probes, run in this process."""
    settings = build_settings(azure.environment, {})
    return run_live(plan_live(settings, 1), lambda _: None).to_json()


def test_an_identity_without_roles_records_how_it_is_refused(azure: Azure) -> None:
    """The bodies of refusals are worth having: no probe ends the others, and no index is made."""
    azure.identity.default.roles.clear()

    kept = record_live(azure)

    assert {"index", "usage", "indexes left behind"} <= set(kept["errors"])
    assert "Authorization failed." in kept["search"]["refusals"]["create index"]["body"]
    assert "lacks the required data action" in kept["embeddings"]["refusals"]["embeddings"]["body"]
    assert azure.search.indexes == {}
    assert any("create index: 403" in line for line in summarize(kept))


def test_the_emulator_behaves_as_the_recording_says(
    azure: Azure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user with a subscription makes the tests more real: lags, headers, sizes and bodies."""
    denied = {"status": 403, "headers": {"x-ms-region": "here"}, "body": "in other words"}
    lags = [{"first": 0.1, "settled": 8.0, "back": 0}, {"first": 0.1, "settled": 2.0, "back": 0}]
    recording = {
        "format": 1,
        "search": {
            "visibility": {"created": {"look-up": lags, "search": [{**lags[0], "settled": None}]}},
            "limits": {"batches": {"1001": {"status": 200}, "32001": {"status": 413}}},
            "refusals": {"no credentials": {**denied, "status": 401}, "create index": denied},
        },
        "embeddings": {
            "usage": {"headers": [{"x-ratelimit-remaining-tokens": "-1"}]},
            "refusals": {
                "no credentials": denied,
                "transient 429": {"headers": {"x-ratelimit-reset-tokens": "9", "date": "now"}},
            },
        },
    }
    apply_recording(azure, recording)
    assert (azure.search.delays.lookup, azure.search.delays.search) == (8.0, 60.0)
    assert (azure.search.replicas, azure.search.actions) == (1, 1001)
    assert azure.openai.rate_headers == ("-1",)
    assert azure.openai.retry_headers == ("x-ratelimit-reset",)
    assert set(azure.search.recorded) == {"no credentials", "missing role"}
    assert set(azure.openai.recorded) == {"firewall"}

    (tmp_path / "live.json").write_text(json.dumps(recording))
    monkeypatch.setenv(RECORDING_VARIABLE, str(tmp_path / "live.json"))
    with run_emulator() as running:
        assert running.search.delays.lookup == 8.0 / 20
        running.identity.default.roles.clear()
        running.openai.is_closed = True
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        again = record_live(running)
    assert again["search"]["refusals"]["list indexes"] == denied
    assert again["embeddings"]["refusals"]["embeddings"] == denied


def test_names_ids_and_addresses_are_scrubbed() -> None:
    """A body that quotes my service, tenant, address and token can be sent to a stranger."""
    text = (
        "contoso denied 20.1.2.3 and 2001:db8::8a2e:370:7334, user a.b@contoso.com of "
        "11111111-2222-3333-4444-555555555555 at https://contoso.search.windows.net/indexes "
        "/subscriptions/mine/resourceGroups/ours Bearer abcdefghijklmnopqrstuvwxyz"
    )
    made = scrub(text, "https://contoso.search.windows.net")
    for secret in ("contoso", "20.1", "2001", "a.b", "1111", "mine", "ours", "abcdef"):
        assert secret not in made
    assert "denied <ip>" in made


def test_only_old_throwaway_indexes_are_deleted() -> None:
    """Neither my index nor that of a probe that runs right now is taken for one left behind."""
    from datetime import UTC, datetime, timedelta

    now = datetime(2026, 11, 29, tzinfo=UTC)
    mine = new_index_name(now)
    assert not is_left_behind(mine, now + timedelta(minutes=59))
    assert is_left_behind(mine, now + timedelta(minutes=61))
    assert not is_left_behind("ingest-live-notes", now + timedelta(days=9))
