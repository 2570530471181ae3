"""The published JSON Schema is the one of the code, and results follow it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from graders import BROKEN, DRIFT, NOT_SHOWN, SOUND
from hostile import hostile

from sft_ref.harness.core.grade import BAD_INPUT, Grade, NotGraded
from sft_ref.harness.core.verdict import Swap
from sft_ref.harness.report.files import as_json
from sft_ref.harness.report.schema import json_schema

MEASURED = replace(BROKEN, losses=(3.0, 0.5), swaps=(Swap("as submitted", 0, 64),))
GRADES: list[Grade] = [SOUND, MEASURED, DRIFT, NOT_SHOWN, hostile(), NotGraded("a", "no zip", BAD_INPUT)]


def check(row: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(json_schema()).validate([row])


def test_the_published_schema_is_that_of_the_code(pytestconfig: pytest.Config) -> None:
    published = (pytestconfig.rootpath / "docs" / "results.schema.json").read_text(encoding="utf-8")
    assert json.loads(published) == json_schema()  # python -m sft_ref.harness.report.schema > docs/results.schema.json


@pytest.mark.parametrize("grade", GRADES, ids=lambda grade: grade.path[:8].encode("unicode_escape").decode())
def test_results_follow_it_and_have_no_other_keys(grade: Grade) -> None:
    row = json.loads(json.dumps(as_json(grade)))
    check(row)
    name = "UngradedRow" if isinstance(grade, NotGraded) else "GradedRow"
    assert row.keys() == json_schema()["$defs"][name]["properties"].keys()
    for each in row.get("checks", ()):
        assert each.keys() == json_schema()["$defs"]["CheckRow"]["properties"].keys()


@pytest.mark.parametrize("key", ["verdict", "stages", "accuracy", "checks", "swaps"])
def test_a_result_with_another_type_does_not_follow_it(key: str) -> None:
    row = json.loads(json.dumps(as_json(MEASURED)))
    with pytest.raises(jsonschema.ValidationError):
        check(row | {key: 17})
