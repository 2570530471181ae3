"""The JSON Schema of `sft-ref grade --json`: python -m sft_ref.harness.report.schema prints it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from sft_ref.harness.core.check import Level, Outcome
from sft_ref.harness.core.verdict import Coverage, Status, Suspect, Swap

Share = Annotated[float, Meta(ge=0, le=1)]


class CheckRow(msgspec.Struct):
    """The result of one planned check."""

    id: str
    stage: str
    level: Level
    statement: str
    outcome: Outcome
    observed: str
    expected: str
    example: str
    why: str
    remedy: str
    rerun: str
    seconds: float
    survivable: bool
    survived: bool


class GradedRow(msgspec.Struct):
    """A target that was graded."""

    path: str
    verdict: Status
    stages: list[str]
    cause: str
    remedy: str
    coverage: list[Coverage]
    examined: str
    size: str
    cleared: dict[str, str]
    evidence: list[str]
    suspects: list[Suspect]
    notes: list[str]
    errors: list[str]
    sandboxed: bool
    seconds: float
    answer_rate: Share | None
    accuracy: Share | None
    losses: list[float]
    swaps: list[Swap]
    checks: list[CheckRow]


class UngradedRow(msgspec.Struct):
    """A target that could not be graded, with the error."""

    path: str
    verdict: None
    error: str
    exit_code: Literal[2, 3]


def json_schema() -> dict[str, Any]:
    """Returns the schema of the whole file, a list with one object per target."""
    (found,), parts = msgspec.json.schema_components([list[GradedRow]], ref_template="#/$defs/{name}")
    _, ungraded = msgspec.json.schema_components([UngradedRow], ref_template="#/$defs/{name}")
    found["items"] = {"anyOf": [{"$ref": "#/$defs/GradedRow"}, {"$ref": "#/$defs/UngradedRow"}]}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Results of sft-ref grade"}
    return head | found | {"$defs": parts | ungraded}


if __name__ == "__main__":
    print(msgspec.json.format(msgspec.json.encode(json_schema()), indent=2).decode())
