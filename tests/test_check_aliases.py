"""An older id of a check, its alias, means the check wherever a user gives it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sft_ref.cli import main as cli
from sft_ref.errors import SftRefError
from sft_ref.harness.checks import registry
from sft_ref.harness.core.check import check, in_order
from sft_ref.harness.grading.in_process.contract import grade_target
from sft_ref.harness.report.rubric import read_rubric

ALIAS = "TOK-902"


@pytest.fixture(autouse=True)
def alias(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives TOK-002 an alias."""
    monkeypatch.setattr(registry, "IDS", {**registry.IDS, ALIAS: "TOK-002"})


def test_a_check_is_found_by_its_id_and_by_its_aliases() -> None:
    declared = check("TOK-002", "A statement", why="Why.", remedy="Remedy.", aliases=("TOK-102",))(lambda _: None)
    assert registry.ids_of([declared]) == {"TOK-002": "TOK-002", "TOK-102": "TOK-002"}


def test_every_check_is_found_by_its_own_id() -> None:
    assert registry.resolve_ids([each.id for each in registry.ALL]) == tuple(each.id for each in registry.ALL)


@pytest.mark.parametrize(
    ("older", "present"),
    [
        ("GEN-008", "GEN-007"),
        ("GEN-101", "GEN-007"),
        ("GEN-102", "GEN-009"),
        ("GEN-103", "GEN-016"),
        ("PRS-005", "PRS-003"),
        ("PRS-101", "PRS-001"),
        ("PRS-102", "PRS-003"),
        ("SCR-101", "SCR-001"),
    ],
)
def test_an_id_of_a_statement_that_stood_twice_stays_valid(older: str, present: str) -> None:
    (found,) = registry.choose_checks([older])
    assert found.id == present
    assert registry.kinds_of(found) == "object, submission"


def test_an_alias_is_resolved_once() -> None:
    assert registry.resolve_ids([ALIAS, "PRM-001", "TOK-002"]) == ("TOK-002", "PRM-001")
    assert [each.id for each in registry.choose_checks([ALIAS])] == ["TOK-002"]
    with pytest.raises(SftRefError, match="no check named TOK-903"):
        registry.resolve_ids(["TOK-903"])


def test_an_alias_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["checks", ALIAS]) == 0
    assert capsys.readouterr().out.startswith("TOK-002 (tokens, universal)")


def test_only_takes_an_alias() -> None:
    verdict = grade_target("reference", only=[ALIAS])
    assert [(each.check.id, each.outcome) for each in verdict.results] == [("TOK-002", "pass")]


def test_a_rubric_takes_an_alias_and_adds_its_points(tmp_path: Path) -> None:
    path = tmp_path / "rubric.toml"
    path.write_text(f"total = 3\n[checks]\n{ALIAS} = 1\nTOK-002 = 2\n")
    assert read_rubric(path, lambda: registry.IDS).checks == {"TOK-002": 3.0}


@pytest.mark.parametrize("taken", ["TOK-001", "TOK-101"])
def test_an_alias_belongs_to_one_check(taken: str) -> None:
    first = check("TOK-001", "A statement", why="Why.", remedy="Remedy.", aliases=("TOK-101",))(lambda _: None)
    second = check("TOK-002", "A statement", why="Why.", remedy="Remedy.", aliases=(taken,))(lambda _: None)
    with pytest.raises(ValueError, match=f"{taken} is declared twice"):
        in_order([first, second])


def test_an_alias_keeps_the_stage() -> None:
    with pytest.raises(ValueError, match="belongs to another stage"):
        check("TOK-001", "A statement", why="Why.", remedy="Remedy.", aliases=("PRM-001",))
