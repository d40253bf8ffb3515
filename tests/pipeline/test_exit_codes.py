"""The exit code that a scheduler is given."""

from __future__ import annotations

import pytest

from ingest.config.settings import build_settings
from ingest.errors import ConfigError
from ingest.models import Details, Outcome, SourceResult
from ingest.pipeline.exit_codes import is_known, process_exit_code

NIGHT, NEXT = "20260301T020000Z-aaaaaa", "20260302T020000Z-bbbbbb"
RETRY = "20260301T023000Z-cccccc"


def trouble(since: str) -> SourceResult:
    return SourceResult("/r", "a.pdf", Outcome.FAILED, harmless=False, details=Details(since=since))


def test_a_trouble_of_the_night_before_is_known() -> None:
    """A PDF that is broken for good fails one night, and not the next one."""
    assert process_exit_code(3, ["known"], [trouble(NIGHT)], NIGHT) == 3
    assert process_exit_code(3, ["known"], [trouble(NIGHT)], NEXT) == 0


def test_the_retry_of_a_job_does_not_turn_a_new_trouble_green() -> None:
    """A platform that runs a failed job again is told of the failure again."""
    assert process_exit_code(3, ["known"], [trouble(NIGHT)], RETRY) == 3


def test_one_new_trouble_among_known_ones_is_enough() -> None:
    """Nothing new hides behind what everybody knows."""
    assert process_exit_code(3, ["known"], [trouble(NIGHT), trouble(NEXT)], NEXT) == 3
    assert not is_known(trouble(""), NEXT)
    assert not is_known(trouble("a run of another form"), NEXT)


def test_twelve_hours_are_counted_between_the_beginnings_of_runs() -> None:
    """A run that takes a day does not know its own troubles at its end."""
    assert not is_known(trouble(NIGHT), "20260301T140000Z-dddddd")
    assert is_known(trouble(NIGHT), "20260301T140001Z-dddddd")


@pytest.mark.parametrize("code", [0, 1, 2, 130, 143])
def test_no_other_exit_code_becomes_another(code: int) -> None:
    """A wrong setting, a service that failed and a limit of deletions stay failures."""
    assert process_exit_code(code, ["3", "11", "known"], [], NEXT) == code


def test_3_and_11_can_be_taken_for_done() -> None:
    """INGEST_EXIT_OK maps only the codes that it names to 0."""
    assert process_exit_code(3, ["3"], [trouble(NEXT)], NEXT) == 0
    assert process_exit_code(11, ["3", "known"], [], NEXT) == 11
    assert process_exit_code(11, ["11"], [], NEXT) == 0


def test_the_setting_is_a_list_of_what_can_be_meant() -> None:
    """Another code or word is refused, with those that there are."""
    assert build_settings({"INGEST_EXIT_OK": "11, known"}, {}).exit_ok == ("11", "known")
    assert build_settings({"INGEST_EXIT_OK": ""}, {}).exit_ok == ()
    for wrong in ("2", "all", "3;11"):
        with pytest.raises(ConfigError, match=r"INGEST_EXIT_OK=.*expected 3, 11 or known"):
            build_settings({"INGEST_EXIT_OK": wrong}, {})
