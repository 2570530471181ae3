"""The page docs/distributed.md runs on two processes: adapters are whole and those of one process; faults are told."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import witnessed
from safetensors.torch import load_file

from sft_ref.reference.record import RECORD
from sft_ref.witnessing.verifying.folder import verify_folder

pytestmark = pytest.mark.slow

Tensors = dict[str, torch.Tensor]

GATHER = re.compile(r"^whole = .*$", re.MULTILINE)
FAULTS: dict[str, tuple[str, Callable[[str], str]]] = {
    "same_batches": ("ddp", lambda own: own.replace("* ROWS + rank :", "* ROWS :")),
    "other_process": ("fsdp", lambda own: own.replace("if rank == 0", "if rank == 1")),
    "own_part": (
        "fsdp",
        lambda own: GATHER.sub("whole = {name: each.to_local() for name, each in model.state_dict().items()}", own),
    ),
    "with_prefix": ("ddp", lambda own: GATHER.sub("whole = trained.state_dict()", own)),
}
"""Name of the script and of its folder -> how the model is spread, and what is edited in own_loop.py."""


def launch(folder: Path, *words: str) -> str:
    """Runs a launcher in a folder; what all processes print."""
    helpers = str(Path(witnessed.__file__).parent)
    path = os.pathsep.join([str(Path(__file__).parents[2]), helpers])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, "-m", *words]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    """A folder with the scripts of the page."""
    folder = tmp_path_factory.mktemp("distributed")
    text = (pytestconfig.rootpath / "docs" / "distributed.md").read_text(encoding="utf-8")
    for name, source in re.findall(r'```python title="(\w+\.py)"\n(.*?)```', text, flags=re.DOTALL):
        (folder / name).write_text(source, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def shown(page: Path) -> str:
    """What the loops of the page, and those with a fault, print in one launch."""
    own = (page / "own_loop.py").read_text(encoding="utf-8")
    runs = ["own_loop.py:ddp:ddp_adapter", "own_loop.py:fsdp:fsdp_adapter"]
    for name, (kind, edit) in FAULTS.items():
        assert edit(own) != own
        (page / f"{name}.py").write_text(edit(own), encoding="utf-8")
        runs.append(f"{name}.py:{kind}:{name}")
    driver = str(Path(witnessed.__file__).with_name("one_launch.py"))
    return launch(page, "torch.distributed.run", "--standalone", "--nproc-per-node", "2", driver, *runs)


@pytest.fixture(scope="module")
def alone(page: Path) -> dict[str, Tensors]:
    """Adapters of one process that computes the two parts of each batch one after the other."""
    from peft import get_peft_model_state_dict

    found: dict[str, Tensors] = {}
    with pytest.MonkeyPatch.context() as patch, witnessed.no_warnings():
        patch.chdir(page)
        patch.syspath_prepend(page)
        tune: Any = __import__("fine_tune")
        model = tune.adapted()
        optimizer = witnessed.adamw(model)
        for step in range(tune.STEPS):
            rows = tune.data[step * tune.ROWS : (step + 1) * tune.ROWS]
            tokens = (tune.collate(rows)["labels"][:, 1:] != -100).sum()
            for part in range(2):
                model(**tune.collate(rows[part::2]), num_items_in_batch=tokens).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        found["own"] = get_peft_model_state_dict(model, save_embedding_layers=False)
        source = (page / "with_trainer.py").read_text(encoding="utf-8")
        (page / "alone.py").write_text(source.replace("max_steps", "gradient_accumulation_steps=2,\n    max_steps"))
        patch.setattr(sys, "argv", ["alone.py", "one", "alone_adapter"])
        runpy.run_path("alone.py", run_name="__main__")
        sys.modules.pop("fine_tune")
    found["trainer"] = load_file(page / "alone_adapter" / "adapter_model.safetensors")
    return found


def check_whole(folder: Path, expected: Tensors) -> None:
    """The adapter is whole, that of one process bit for bit, and loads as recorded."""
    saved = load_file(folder / "adapter_model.safetensors")
    assert saved.keys() == expected.keys()
    assert all(torch.equal(each, expected[name]) for name, each in saved.items())
    assert len(list(folder.rglob(RECORD))) == 1
    result = verify_folder(folder)
    assert result.ok, str(result)


@pytest.mark.parametrize("name", ["ddp_adapter", "fsdp_adapter"])
def test_a_loop_of_ones_own_saves_the_adapter_of_one_process(
    name: str, page: Path, shown: str, alone: dict[str, Tensors]
) -> None:
    check_whole(page / name, alone["own"])
    assert set(re.findall(rf"record of {name} by (\d)", shown)) == {"0"}


@pytest.mark.parametrize(
    ("name", "launcher"),
    [
        ("fsdp", ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]),
        ("ddp", ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", "0"]),
    ],
)
def test_trainer_saves_the_adapter_of_one_process(
    name: str, launcher: list[str], page: Path, alone: dict[str, Tensors]
) -> None:
    if name == "fsdp":
        pytest.importorskip("transformers.distributed", reason="transformers 5.23 loads sharded models")
    printed = launch(page, *launcher, "with_trainer.py", name, f"trainer_{name}")
    assert "TrainingWarning" not in printed
    check_whole(page / f"trainer_{name}", alone["trainer"])


def test_processes_that_see_the_same_batches_are_told(shown: str) -> None:
    assert "processes 0 and 1 see the same first batch" in shown


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("other_process", r"lacks 42 of 42 trained tensors"),
        ("own_part", r"adapter tensors in .* have another shape"),
        ("with_prefix", r"lacks 42 of 42 trained tensors"),
    ],
)
def test_an_adapter_that_is_not_whole_is_told(name: str, pattern: str, page: Path, shown: str) -> None:
    result = verify_folder(page / name)
    assert "artifact" in result.kinds, shown[-2000:]
    assert re.search(pattern, str(result)), str(result)
