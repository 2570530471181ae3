"""The sessions of nox read their command lines as they say."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from types import ModuleType
from unittest.mock import Mock

import pytest
from nox.command import CommandFailed


@pytest.fixture(scope="module")  # nox refuses a session that is registered twice
def noxfile(pytestconfig: pytest.Config) -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("noxfile", pytestconfig.rootpath / "noxfile.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(pytestconfig.rootpath)  # where nox starts it
        spec.loader.exec_module(module)
        yield module


@pytest.mark.parametrize(
    ("words", "left", "taken"),
    [
        (["PATH", "--with", "torchmetrics"], ["PATH"], ["torchmetrics"]),
        (["PATH", "--with", "a", "b", "--seed", "1", "--with", "c"], ["PATH", "--seed", "1"], ["a", "b", "c"]),
        (["--with", "a", "tests"], ["tests"], ["a"]),  # a path that is there
        (["PATH"], ["PATH"], []),
    ],
)
def test_packages_are_taken_from_the_command_line(
    words: list[str], left: list[str], taken: list[str], noxfile: ModuleType
) -> None:
    assert noxfile.take_option(words, "--with") == taken
    assert words == left


def test_an_option_without_a_word_is_an_error(noxfile: ModuleType) -> None:
    with pytest.raises(SystemExit, match="--with: has no value"):
        noxfile.take_option(["PATH", "--with"], "--with")


@pytest.mark.parametrize("differs", [0, 1])
def test_golden_runs_both_scoreboards_and_fails_where_either_differs(differs: int, noxfile: ModuleType) -> None:
    outcomes: list[object] = [True, True]
    outcomes[differs] = CommandFailed
    session = Mock(posargs=["--part=8"])
    session.run.side_effect = outcomes
    noxfile.golden(session)
    boards = [call.args[1:-2] for call in session.run.call_args_list]
    assert boards == [("tests/helpers/scoreboard.py",), ("tests/submissions/board.py",)]
    assert all(call.args[-2:] == ("--golden", "--part=8") for call in session.run.call_args_list)
    session.error.assert_called_once()


def test_golden_passes_where_neither_scoreboard_differs(noxfile: ModuleType) -> None:
    session = Mock(posargs=[])
    noxfile.golden(session)
    session.error.assert_not_called()
