from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from recorded import record

from sft_ref.harness.recorders.submission.sections import is_well_formed

CRASH = {"type": "E", "message": "m", "where": "", "functions": ["f"], "trace": "t"}
STEP: dict[str, Any] = {
    "rate": 1.0,
    "trained": None,
    "outside": [],
    "stale": [],
    "dropped": [],
    "idle": [],
    "decay": 0.0,
    "clipping": None,
    "clipped": 1.0,
    "dtypes": None,
    "betas": [[0.9, 0.999]],
    "passes": [0, 1],
}
FORGED_BETAS: tuple[Any, ...] = (None, 0.9, [0.9], [[0.9]], [[0.9, "x"]], [[0.9, -1.0]], [[0.9, 1e999]], [[1.0, 0.9]])


def test_what_the_agent_writes_is_well_formed(tmp_path: Path) -> None:
    _, sections = record(tmp_path / "work")
    written = {f"{command} {name}": each for command, whole in sections.items() for name, each in whole.items()}
    assert [name for name, each in written.items() if not is_well_formed(name.split()[1], copy.deepcopy(each))] == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("load", {"crash": CRASH}),
        ("answers", {"crash": CRASH | {"lacking": "torchmetrics", "requirements": ["torchmetrics"]}}),
        ("parse", {"values": None}),
        ("parse", {"values": [1, 2.5, "nan", "crash: {}"]}),
        (
            "training_log",
            {
                "examples": [],
                "forward_passes": [[[0, {"examples": [0, 1], "position_ids": [0, 1]}], None]],
                "optimizer_steps": [],
            },
        ),
        ("training_log", {"optimizer_steps": [["nan", 1, [0.9, 0.95]]], "optimizer": {}, "shortened": None}),
        ("training_steps", {"steps": [STEP, STEP | {"betas": []}]}),
        ("load", {"adapter_folders": [], "dtype_counts": {"base": {}}, "tokenizer_size": None}),
        ("script_12", {"values": [], "parsed_texts": [], "generations": []}),
    ],
)
def test_rare_forms_of_sections_are_well_formed(name: str, content: dict[str, Any]) -> None:
    assert is_well_formed(name, content)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("training_log", {"examples": [[[1, 2]]]}),
        ("training_log", {"examples": [[[1, "2"], [1, 2]]]}),
        ("training_log", {"examples": [[[-1], [0]]]}),
        ("training_log", {"forward_passes": [[[-1], None]]}),
        *(("training_steps", {"steps": [STEP | {"betas": betas}]}) for betas in FORGED_BETAS),
        ("answers", {"generations": [{"new_token_ids": [1]}]}),
        ("answers", {"values": 3}),
        ("answers", {"values": [[]]}),
        ("load", {"crash": {"type": "E"}}),
        ("end", {"notes": "all is well"}),
        ("end", {"\ud800": 1, "notes": 1}),
        ("planted", {}),
    ],
)
def test_other_types_are_not_the_agents(name: str, content: dict[str, Any]) -> None:
    assert not is_well_formed(name, content)
