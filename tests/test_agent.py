"""The agent's own instruments, without a submission around them."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from sft_ref.harness.recorders.submission.agent import inspection, time_limit
from sft_ref.harness.recorders.submission.workplace import AGENT, SHARED, copy_agent

COPIED = (*sorted(AGENT.rglob("*.py")), *SHARED)


@pytest.mark.parametrize(
    ("name", "found"),
    [("checkpoint-960", "checkpoint-60"), ("checkpoint-400", "checkpoint-30"), ("checkpoint-best", "checkpoint-best")],
)
def test_a_checkpoint_of_a_shortened_training_is_found_by_its_share_of_it(
    name: str, found: str, tmp_path: Path
) -> None:
    for each in ("checkpoint-30", "checkpoint-60", "checkpoint-final"):
        (tmp_path / each).mkdir()
    assert time_limit.find_checkpoint(tmp_path / name, (960, 60)) == tmp_path / found
    assert time_limit.find_checkpoint(tmp_path / name, None) == tmp_path / name


def test_a_checkpoint_that_is_there_is_taken(tmp_path: Path) -> None:
    for each in ("checkpoint-20", "checkpoint-60"):
        (tmp_path / each).mkdir()
    assert time_limit.find_checkpoint(tmp_path / "checkpoint-20", (960, 60)) == tmp_path / "checkpoint-20"


@pytest.mark.parametrize(
    ("eval_steps", "save_steps", "due"),
    [(None, 50, (None, 8)), (30, 60, (5, 10)), (0.5, 50, (0.5, 8)), (None, 1, (None, 1)), (30, 50, (5, 8))],
)
def test_a_shortened_training_keeps_the_share_of_its_warmup_and_its_intervals(
    eval_steps: float | None, save_steps: int, due: tuple[float | None, int]
) -> None:
    model = torch.nn.Linear(1, 1)
    model.forward = lambda **given: SimpleNamespace(loss=model.weight.sum())  # type: ignore[assignment,method-assign]
    args = SimpleNamespace(
        per_device_train_batch_size=10,
        gradient_accumulation_steps=1,
        max_steps=-1,
        num_train_epochs=60,
        warmup_steps=300,
        eval_steps=eval_steps,
        save_steps=save_steps,
    )
    trainer = SimpleNamespace(args=args, model=model, train_dataset=[{"input_ids": [1, 2]}] * 100)
    notes: list[str] = []
    assert time_limit.shorten(trainer, 0.0, notes.append) == (600, 100)
    assert (args.max_steps, args.warmup_steps) == (100, 50)
    assert (args.eval_steps, args.save_steps) == due
    assert "from 600 to 100 steps" in notes[0]


def test_texts_are_probed_as_far_as_their_logits_are_of_a_size_to_be_kept() -> None:
    rows = [(1,) * 100] * 50
    assert len(inspection.choose_rows(rows, 768)) == 32
    assert len(inspection.choose_rows(rows, 49152)) == 13
    assert len(inspection.choose_rows(rows, 10**9)) == 1


@pytest.mark.filterwarnings("ignore")  # torch moves its quantization elsewhere
def test_a_quantized_layer_counts_with_the_dtype_of_its_weight() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.LayerNorm(4))
    assert inspection.count_dtypes(model)["base"] == {"torch.float32": 4}
    quantized = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    assert inspection.count_dtypes(quantized)["base"] == {"torch.float32": 2, "torch.qint8": 1}


def relative_imports(path: Path, node: ast.ImportFrom) -> set[Path]:
    """The files that a relative import names."""
    folder = path.parents[node.level - 1]
    if node.module is None:
        return {folder / f"{alias.name}.py" for alias in node.names}
    return {folder.joinpath(*node.module.split(".")).with_suffix(".py")}


@pytest.mark.parametrize("path", COPIED, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_the_agent_needs_nothing_that_a_submission_has_not(path: Path) -> None:
    allowed = {"torch"} if path in SHARED else {"torch", "transformers", "peft", "safetensors"}
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [] if node.level else [node.module or ""]
            assert not node.level or relative_imports(path, node) <= {*COPIED}
        for name in names:
            top = name.partition(".")[0]
            assert top in allowed or top in sys.stdlib_module_names, name


def test_a_copy_of_the_agent_imports_what_is_copied_with_it_and_nothing_else_of_the_harness(tmp_path: Path) -> None:
    copy_agent(tmp_path / "package")
    files = [path.relative_to(AGENT).with_suffix("") for path in AGENT.rglob("[!_]*.py")]
    modules = [".".join(("package.a.b.c", *file.parts)) for file in files]
    code = (
        f"import importlib, sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "print(sys.modules['package.a.b.c.forwards'].cache_length.__module__)\n"
        "print([name for name in sys.modules if name.startswith('sft_ref')])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["package.instruments.scripted.model_inputs", "[]"]
