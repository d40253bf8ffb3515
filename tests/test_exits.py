"""The exit code that a scheduler is given."""

from __future__ import annotations

import pytest

from ingest.errors import ConfigError
from ingest.exits import given, known
from ingest.model import Details, Outcome, Settled
from ingest.settings import settings

NIGHT, NEXT = "20260301T020000Z-aaaaaa", "20260302T020000Z-bbbbbb"
RETRY = "20260301T023000Z-cccccc"


def trouble(since: str) -> Settled:
    return Settled("/r", "a.pdf", Outcome.FAILED, harmless=False, details=Details(since=since))


def test_a_trouble_of_the_night_before_is_known() -> None:
    """A PDF that is broken for good fails one night, and not the next one."""
    assert given(3, ["known"], [trouble(NIGHT)], NIGHT) == 3
    assert given(3, ["known"], [trouble(NIGHT)], NEXT) == 0


def test_the_retry_of_a_job_does_not_turn_a_new_trouble_green() -> None:
    """A platform that runs a failed job again is told of the failure again."""
    assert given(3, ["known"], [trouble(NIGHT)], RETRY) == 3


def test_one_new_trouble_among_known_ones_is_enough() -> None:
    """Nothing new hides behind what everybody knows."""
    assert given(3, ["known"], [trouble(NIGHT), trouble(NEXT)], NEXT) == 3
    assert not known([trouble("")], NEXT)
    assert not known([trouble("a run of another form")], NEXT)


def test_twelve_hours_are_counted_between_the_beginnings_of_runs() -> None:
    """A run that takes a day does not know its own troubles at its end."""
    assert not known([trouble(NIGHT)], "20260301T140000Z-dddddd")
    assert known([trouble(NIGHT)], "20260301T140001Z-dddddd")


@pytest.mark.parametrize("code", [0, 1, 2, 130, 143])
def test_no_other_exit_code_becomes_another(code: int) -> None:
    """A wrong setting, a service that failed and a limit of deletions stay failures."""
    assert given(code, ["3", "11", "known"], [], NEXT) == code


def test_3_and_11_can_be_taken_for_done() -> None:
    """Each only where it is named."""
    assert given(3, ["3"], [trouble(NEXT)], NEXT) == 0
    assert given(11, ["3", "known"], [], NEXT) == 11
    assert given(11, ["11"], [], NEXT) == 0


def test_the_setting_is_a_list_of_what_can_be_meant() -> None:
    """Another code or word is refused, with those that there are."""
    assert settings({"INGEST_EXIT_OK": "11, known"}, {}).exit_ok == ("11", "known")
    assert settings({"INGEST_EXIT_OK": ""}, {}).exit_ok == ()
    for wrong in ("2", "all", "3;11"):
        with pytest.raises(ConfigError, match=r"INGEST_EXIT_OK=.*expected 3 or 11 or known"):
            settings({"INGEST_EXIT_OK": wrong}, {})
