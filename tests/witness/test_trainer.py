"""The witness as a callback of transformers' Trainer: checkpoints, the best model, later saves, and faults."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import witnessed
from served_faults import served
from transformers import Trainer, TrainingArguments

import sft_ref
from sft_ref.errors import TrainingError
from sft_ref.reference.record import RECORD, Record
from sft_ref.witnessing.record.schema import TENSORS, read_stored
from sft_ref.witnessing.verifying.folder import verify_folder


def make_trainer(folder: Path, rows: list[witnessed.Row] | None = None, **arguments: Any) -> Trainer:
    model = witnessed.adapted_toy(lora_dropout=0.05)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        settings = TrainingArguments(
            output_dir=str(folder),
            **{
                "max_steps": 4,
                "per_device_train_batch_size": 4,
                "learning_rate": 1e-3,
                "report_to": [],
                "disable_tqdm": True,
                "use_cpu": True,
                "remove_unused_columns": False,
                "dataloader_pin_memory": False,
                "save_strategy": "no",
                **arguments,
            },
        )
        own: Any = rows or witnessed.toy_rows(32)
        return Trainer(
            model=model,
            args=settings,
            train_dataset=own,
            eval_dataset=own[:4],
            data_collator=witnessed.collate,
            processing_class=witnessed.chat_tokenizer(),
        )


def train(trainer: Trainer, *callbacks: Any) -> None:
    for each in callbacks:
        trainer.add_callback(each)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning)
        trainer.train()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trainer, sft_ref.Witness]:
    """A training with checkpoints, of which the best is loaded at the end, and which is saved then."""
    folder = tmp_path_factory.mktemp("trainer")
    trainer = make_trainer(
        folder,
        save_strategy="steps",
        save_steps=2,
        eval_strategy="steps",
        eval_steps=2,
        load_best_model_at_end=True,
        gradient_accumulation_steps=2,
        gradient_checkpointing=True,
        metric_for_best_model="loss",
        greater_is_better=True,  # so that the first checkpoint is the best one
    )
    witness = sft_ref.Witness()
    train(trainer, witness)
    trainer.save_model(str(folder / "final"))
    return folder, trainer, witness


def test_a_sound_training_has_no_finding_and_a_record_beside_each_adapter(
    run: tuple[Path, Trainer, sft_ref.Witness],
) -> None:
    folder, trainer, witness = run
    assert witness.faults == []
    assert {path.parent.name for path in folder.rglob(RECORD)} == {"checkpoint-2", "checkpoint-4", "final"}
    steps = {name: read_stored(folder / name).record.step for name in ("checkpoint-2", "checkpoint-4", "final")}
    assert steps == {"checkpoint-2": 2, "checkpoint-4": 4, "final": 4}
    assert sft_ref.verify(trainer.model, witnessed.chat_tokenizer(), folder / "final").ok


def test_the_record_of_the_best_model_is_that_of_its_checkpoint(run: tuple[Path, Trainer, sft_ref.Witness]) -> None:
    folder, trainer, _ = run
    assert str(trainer.state.best_model_checkpoint).endswith("checkpoint-2")
    stored = {name: read_stored(folder / name).record for name in ("checkpoint-2", "checkpoint-4", "final")}
    assert stored["final"].adapter == stored["checkpoint-2"].adapter
    assert stored["final"].adapter != stored["checkpoint-4"].adapter
    for name in stored:
        result = verify_folder(folder / name)
        assert result.ok, str(result)
    with witnessed.no_warnings():
        late = sft_ref.verify(served(folder / "checkpoint-4"), None, folder / "final")
    assert late.kinds == {"load"}


def test_files_are_small(run: tuple[Path, Trainer, sft_ref.Witness]) -> None:
    final = run[0] / "final"
    assert sum((final / name).stat().st_size for name in (RECORD, TENSORS)) < 2**20


def test_what_happens_to_the_model_after_training_is_no_part_of_the_record(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path / "run")
    train(trainer, sft_ref.Witness())
    model: Any = trainer.model
    for name, each in model.named_parameters():
        if "lora_" in name:
            each.data = each.data.half()
    model.save_pretrained(str(tmp_path / "late"))
    witnessed.chat_tokenizer().save_pretrained(str(tmp_path / "late"))
    result = verify_folder(tmp_path / "late")
    assert result.kinds == {"precision"}, str(result)


def test_a_copy_of_the_model_saves_the_copy_and_no_record(
    run: tuple[Path, Trainer, sft_ref.Witness], tmp_path: Path
) -> None:
    twin: Any = copy.deepcopy(run[1].model)
    with torch.no_grad():
        for name, each in twin.named_parameters():
            if "lora_B" in name:
                each.zero_()
    twin.save_pretrained(str(tmp_path / "copy"))
    assert not (tmp_path / "copy" / RECORD).exists()
    from safetensors.torch import load_file

    tensors = load_file(tmp_path / "copy" / "adapter_model.safetensors")
    assert not any(each.any() for name, each in tensors.items() if "lora_B" in name)


def test_a_training_that_cannot_learn_ends_before_its_first_step(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, [(ids, [-100] * len(ids)) for ids, _ in witnessed.toy_rows(16)])
    model: Any = trainer.model
    before = {name: each.clone() for name, each in model.state_dict().items()}
    with witnessed.no_warnings(), pytest.raises(TrainingError, match="have no supervised token"):
        train(trainer, sft_ref.Witness())
    assert all(torch.equal(each, model.state_dict()[name]) for name, each in before.items())
    assert not list(tmp_path.rglob(RECORD))


def test_a_schedule_of_the_trainer_is_known_before_the_first_step(tmp_path: Path) -> None:
    witness = sft_ref.Witness()
    with pytest.raises(TrainingError, match="planned steps add up to"):
        train(make_trainer(tmp_path, learning_rate=1e-9, warmup_steps=1), witness)
    assert [fault.is_fatal for fault in witness.faults] == [True]


def test_a_loss_that_stops_being_finite_ends_the_training(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, logging_steps=1, logging_nan_inf_filter=False)
    compute: Callable[..., Any] = trainer.compute_loss

    def spoilt(*args: Any, **kwargs: Any) -> Any:
        return compute(*args, **kwargs) * (torch.nan if trainer.state.global_step == 2 else 1.0)

    trainer.compute_loss = spoilt  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match="the reported loss is nan at step 3"):
        train(trainer, sft_ref.Witness())


def test_rows_are_not_stored_where_that_is_not_wanted(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, bf16=True)
    train(trainer, sft_ref.Witness(store_text=False))
    trainer.save_model(str(tmp_path / "final"))
    stored = read_stored(tmp_path / "final").record
    assert {probe.source for probe in stored.probes} == {"held-out"}
    own = {tuple(ids) for ids, _ in witnessed.toy_rows(32)}
    assert not own & {tuple(probe.input_ids) for probe in stored.probes}
    assert len(stored.rows) == 4
    assert stored.precision.autocast == "bfloat16"
    model: Any = trainer.model
    assert sft_ref.verify(model.eval(), None, tmp_path / "final").ok  # it still computes as in training
    assert verify_folder(tmp_path / "final").ok


def test_the_record_of_train_and_that_of_a_witness_are_told_apart(
    run: tuple[Path, Trainer, sft_ref.Witness], tmp_path: Path
) -> None:
    (tmp_path / RECORD).write_text(Record("toy", "fp32", {}, {}, {}, {}).to_json())
    with pytest.raises(sft_ref.SftRefError, match=r"is a record of sft_ref\.train"):
        verify_folder(tmp_path)
    llm = sft_ref.load(run[0] / "final", base="toy")
    assert sft_ref.verify(llm.model, llm.tokenizer, run[0] / "final").kinds <= {"tokenizer", "template"}
    assert json.loads((run[0] / "final" / RECORD).read_text())["format"] == 2


def test_a_training_that_broke_off_leaves_nothing_that_watches_others(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path / "broken")

    def breaking(*args: Any, **kwargs: Any) -> Any:
        if trainer.state.global_step == 1:
            raise KeyError("broken")
        return Trainer.compute_loss(trainer, *args, **kwargs)

    trainer.compute_loss = breaking  # type: ignore[method-assign]
    witness = sft_ref.Witness()
    with pytest.raises(KeyError):
        train(trainer, witness)
    assert witnessed.watch(tmp_path / "next") == []
    assert witness.faults == []
