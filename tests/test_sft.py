"""Train, save, load, test: what is loaded is what was trained, or it is refused."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import shutil
import signal
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import sft_ref
from sft_ref import BaseLLM, Settings
from sft_ref.errors import AdapterError, OutputError, PrecisionError, PrecisionMismatchError, TrainingError
from sft_ref.io.lora_config import CONFIG, WEIGHTS
from sft_ref.reference import loss
from sft_ref.reference.guards.adapter_files import read_tensors
from sft_ref.reference.guards.dtypes import count_dtypes
from sft_ref.reference.guards.progress import Step
from sft_ref.reference.precision import POLICIES
from sft_ref.reference.record import RECORD, Record

SHORT = Settings(steps=4, batch_size=4)


def trained_record(folder: Path) -> Record:
    return Record.from_json((folder / RECORD).read_text(), where="record")


@pytest.fixture(scope="module")
def short_adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four steps in fp32: enough where only the files matter."""
    folder = tmp_path_factory.mktemp("short") / "adapter"
    sft_ref.train(folder, base="toy", policy="fp32", settings=SHORT)
    return folder


@pytest.fixture
def copy(short_adapter: Path, tmp_path: Path) -> Path:
    """A copy of it that may be damaged."""
    return Path(shutil.copytree(short_adapter, tmp_path / "copy"))


def test_the_toy_learns_to_answer(toy_llm: BaseLLM, blank_toy: BaseLLM) -> None:
    rows = sft_ref.split_rows("validation")[100:300]
    questions, truths = zip(*rows, strict=True)
    before = sft_ref.score(blank_toy.answer(*questions), truths)
    after = sft_ref.score(toy_llm.answer(*questions), truths)
    assert before.answer_rate <= 0.10
    assert after.answer_rate >= 0.95
    assert after.accuracy >= 0.4
    assert after.accuracy > before.accuracy + 0.3


def test_test_prints_its_score(toy_adapter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    score = sft_ref.test_model(toy_adapter, sft_ref.split_rows("validation")[:20])
    assert capsys.readouterr().out == f"accuracy={score.accuracy:.2f} answer_rate={score.answer_rate:.2f}\n"
    assert score.questions == 20


@pytest.mark.parametrize("policy", [name for name in POLICIES if "fp16" not in name])
def test_what_is_loaded_has_the_dtypes_and_the_values_that_were_trained(policy: str, tmp_path: Path) -> None:
    sft_ref.train(tmp_path / "a", base="toy", policy=policy, settings=SHORT)
    llm = sft_ref.load(tmp_path / "a")
    record = trained_record(tmp_path / "a")
    assert llm.policy.name == record.policy == policy
    assert count_dtypes(llm.model) == record.dtypes
    assert set(record.dtypes["base"].values()) == {POLICIES[policy].storage}
    assert set(record.dtypes["adapter"].values()) == {POLICIES[policy].adapter}
    stored = read_tensors(tmp_path / "a")
    loaded = {n: p for n, p in llm.model.named_parameters() if "lora_" in n}
    assert len(loaded) == len(stored)
    for name, tensor in stored.items():
        assert torch.equal(loaded[name.replace(".weight", ".default.weight")], tensor)
    assert not llm.model.training


def test_an_adapter_changes_the_answers_of_its_base(toy_llm: BaseLLM) -> None:
    prompts = [sft_ref.format_prompt(question) for question, _ in sft_ref.split_rows("validation")[:8]]
    on = toy_llm.batched_generate(prompts)
    with toy_llm.model.disable_adapter():
        assert toy_llm.batched_generate(prompts) != on


def test_the_folder_holds_an_adapter_a_record_and_a_picture(short_adapter: Path) -> None:
    names = {path.name for path in short_adapter.iterdir()}
    assert names >= {CONFIG, WEIGHTS, RECORD, "loss.png"}
    assert not any(name.endswith((".bin", ".pt", ".pth", ".pkl")) for name in names)
    assert not list(short_adapter.parent.glob("*.partial"))
    assert (short_adapter / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((short_adapter / CONFIG).read_text())["base_model_name_or_path"] == "toy"


def test_the_record_names_what_was_used(short_adapter: Path) -> None:
    record = trained_record(short_adapter)
    assert (record.base, record.policy) == ("toy", "fp32")
    assert record.settings == dataclasses.asdict(SHORT)
    assert set(record.fingerprints) == {"base", "adapter", "tokenizer", "prompt", "rows"}
    assert record.versions["torch"] == version("torch")  # torch.__version__ can have a local part, such as +cu130


def test_the_same_seed_gives_the_same_adapter_and_another_another(short_adapter: Path, tmp_path: Path) -> None:
    sft_ref.train(tmp_path / "a", base="toy", policy="fp32", settings=SHORT)
    sft_ref.train(tmp_path / "b", base="toy", policy="fp32", settings=dataclasses.replace(SHORT, seed=1))
    due, same, other = (load_file(folder / WEIGHTS) for folder in (short_adapter, tmp_path / "a", tmp_path / "b"))
    assert all(torch.equal(same[name], due[name]) for name in due)
    assert not all(torch.equal(other[name], due[name]) for name in due)


def test_a_policy_is_not_swayed_by_a_mixed_run_before_it_or_by_the_environment(
    short_adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Version 4 of transformers keeps the last run's mixed precision in the environment, and accelerate obeys it."""
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    sft_ref.train(tmp_path / "mixed", base="toy", policy="bf16-mixed", settings=SHORT)
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    sft_ref.train(tmp_path / "a", base="toy", policy="fp32", settings=SHORT)
    due, found = load_file(short_adapter / WEIGHTS), load_file(tmp_path / "a" / WEIGHTS)
    assert all(torch.equal(found[name], due[name]) for name in due)


def test_loading_and_testing_leave_the_folder_as_it_was(copy: Path) -> None:
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    for path in (*copy.iterdir(), copy):
        path.chmod(0o555 if path.is_dir() else 0o444)
    sft_ref.test(copy, sft_ref.split_rows("validation")[:2])
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == before


# what load refuses


def test_another_dtype_is_refused_and_both_are_named(short_adapter: Path) -> None:
    with pytest.raises(PrecisionMismatchError, match=r"trained under fp32 .*torch_dtype=float16.*--policy fp16"):
        sft_ref.load(short_adapter, torch_dtype=torch.float16)
    assert sft_ref.load(short_adapter, torch_dtype=torch.float32).policy.name == "fp32"


def test_another_policy_is_loaded_if_asked_for_by_name(short_adapter: Path) -> None:
    llm = sft_ref.load(short_adapter, policy="fp16")
    found = count_dtypes(llm.model)
    assert set(found["base"].values()) == set(found["adapter"].values()) == {"float16"}


def test_an_adapter_without_a_record_keeps_its_dtype_over_fp32(copy: Path) -> None:
    (copy / RECORD).unlink()
    save_file({n: t.to(torch.bfloat16) for n, t in load_file(copy / WEIGHTS).items()}, copy / WEIGHTS)
    found = count_dtypes(sft_ref.load(copy).model)
    assert set(found["base"].values()) == {"float32"}
    assert set(found["adapter"].values()) == {"bfloat16"}


def change_tensor(folder: Path, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    tensors = load_file(folder / WEIGHTS)
    name = min(tensors)
    save_file(tensors | {name: change(tensors[name])}, folder / WEIGHTS)


def rename_to_pickle(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "adapter_model.bin")


def drop_tensor(folder: Path) -> None:
    (folder / RECORD).unlink()
    tensors = load_file(folder / WEIGHTS)
    tensors.pop(min(tensors))
    save_file(tensors, folder / WEIGHTS)


def truncate(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-100])


def claim_other_base(folder: Path) -> None:
    record = trained_record(folder)
    other = dataclasses.replace(record, fingerprints=record.fingerprints | {"base": "0" * 64})
    (folder / RECORD).write_text(other.to_json())


def claim_other_dtype(folder: Path) -> None:
    record = trained_record(folder)
    dtypes = record.dtypes | {"base": dict.fromkeys(record.dtypes["base"], "float16")}
    (folder / RECORD).write_text(dataclasses.replace(record, dtypes=dtypes).to_json())


def other_rank(folder: Path) -> None:
    (folder / RECORD).unlink()
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | {"r": 3}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, r"holds no adapter_config\.json"),
        (lambda folder: (folder / WEIGHTS).unlink(), r"holds no adapter_model\.safetensors"),
        (rename_to_pickle, "is a pickle and is not read"),
        (truncate, "is damaged"),
        (lambda folder: (folder / WEIGHTS).write_bytes(b""), "is damaged"),
        (lambda folder: save_file({}, folder / WEIGHTS), "holds no tensors"),
        (lambda folder: change_tensor(folder, lambda t: t * float("nan")), "holds NaN or infinity"),
        (lambda folder: change_tensor(folder, lambda t: t + 1), "the tensors are not those that were trained"),
        (lambda folder: change_tensor(folder, lambda t: t.half()), "recorded float32, found float16, float32"),
        (lambda folder: (folder / RECORD).write_text("{}"), "is not a record"),
        (lambda folder: (folder / CONFIG).write_text("{"), "."),
        (claim_other_base, r"was trained with another base \(base 'toy', base 00000000\)"),
        (drop_tensor, "lacks base_model"),
        (other_rank, "does not fit this base"),
    ],
)  # fmt: skip
def test_a_damaged_folder_is_refused_with_its_reason(
    copy: Path, damage: Callable[[Path], object], message: str
) -> None:
    damage(copy)
    with pytest.raises(AdapterError, match=message):
        sft_ref.load(copy)


def test_a_record_that_contradicts_what_is_loaded_is_refused(copy: Path) -> None:
    claim_other_dtype(copy)
    with pytest.raises(PrecisionMismatchError, match="was trained in float16 and is loaded in float32"):
        sft_ref.load(copy)


def test_a_buffer_that_another_version_keeps_is_no_contradiction(copy: Path) -> None:
    record = trained_record(copy)
    dtypes = record.dtypes | {"buffer": record.dtypes["buffer"] | {"model.rotary_emb.of_another_version": "float32"}}
    (copy / RECORD).write_text(dataclasses.replace(record, dtypes=dtypes).to_json())
    assert sft_ref.load(copy).policy.name == "fp32"


def test_a_pickle_is_never_run(copy: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (Path(f"{copy}.run"),))  # type: ignore[return-value]

    torch.save({"lora_A": Payload()}, copy / "adapter_model.bin")
    (copy / WEIGHTS).unlink()
    with pytest.raises(AdapterError):
        sft_ref.load(copy)
    assert not Path(f"{copy}.run").exists()


# what train refuses, and what survives


def test_an_adapter_is_not_replaced_unless_asked(copy: Path) -> None:
    before = (copy / WEIGHTS).read_bytes()
    with pytest.raises(OutputError, match="--overwrite"):
        sft_ref.train(copy, base="toy", settings=SHORT)
    assert (copy / WEIGHTS).read_bytes() == before
    sft_ref.train(copy, base="toy", settings=dataclasses.replace(SHORT, seed=5), overwrite=True)
    assert (copy / WEIGHTS).read_bytes() != before


def test_a_folder_of_other_things_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match="is not an adapter folder"):
        sft_ref.train(tmp_path, base="toy", settings=SHORT, overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_place_that_cannot_be_written_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    steps: list[Step] = []
    with pytest.raises(OutputError, match="choose another folder"):
        sft_ref.train(tmp_path / "file" / "adapter", base="toy", settings=SHORT, report=steps.append)
    assert not steps


def test_fp16_is_refused_on_a_cpu_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sft_ref.reference.sft.find_device", lambda: torch.device("cpu"))
    with pytest.raises(PrecisionError, match="fp16 training needs CUDA"):
        sft_ref.train(tmp_path / "a", base="toy", policy="fp16-mixed")
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_infinite_at_one_step_is_infinite_at_that_step_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An overflow in fp16. Trainer subtracts what it has logged from its sum, and infinity less infinity is NaN."""
    supervised_loss, calls = loss.supervised_loss, itertools.count(1)

    def overflow(*batch: Any, **how: Any) -> torch.Tensor:  # noqa: ANN401
        found: torch.Tensor = supervised_loss(*batch, **how)
        return found + torch.inf if next(calls) == 2 else found

    monkeypatch.setattr(loss, "supervised_loss", overflow)
    history = sft_ref.train(tmp_path / "a", base="toy", settings=SHORT)
    assert [math.isfinite(step.loss) for step in history] == [True, False, True, True]


def test_training_without_a_finite_step_stops_and_writes_no_adapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sft_ref.reference.loss.supervised_loss", lambda logits, *_, **__: logits.sum() * float("nan"))
    steps: list[Step] = []
    with pytest.raises(TrainingError, match="20 optimizer steps in a row had no finite loss"):
        sft_ref.train(tmp_path / "a", base="toy", settings=Settings(steps=60, batch_size=2), report=steps.append)
    assert len(steps) == 20
    assert not list(tmp_path.iterdir())


def test_training_that_moves_nothing_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sft_ref.reference.loss.supervised_loss", lambda logits, *_, **__: logits.sum() * 0)
    with pytest.raises(TrainingError, match="moved no weight"):
        sft_ref.train(tmp_path / "a", base="toy", settings=SHORT)


@pytest.mark.parametrize("field", ["steps", "batch_size", "learning_rate", "rank"])
def test_settings_that_mean_nothing_are_refused(field: str) -> None:
    with pytest.raises(TrainingError, match=field):
        dataclasses.replace(SHORT, **{field: 0})
    with pytest.raises(TrainingError, match=field):
        dataclasses.replace(SHORT, **{field: float("nan")})  # type: ignore[arg-type]


def test_an_interrupted_run_goes_on_to_the_same_adapter(tmp_path: Path) -> None:
    settings = dataclasses.replace(SHORT, steps=6)
    straight = sft_ref.train(tmp_path / "straight", base="toy", policy="fp32", settings=settings)

    def stop(step: Step) -> None:
        if step.step == 3:
            signal.raise_signal(signal.SIGINT)  # the step that is under way is finished first

    with pytest.raises(KeyboardInterrupt, match="stopped after step 4 of 6"):
        sft_ref.train(tmp_path / "a", base="toy", policy="fp32", settings=settings, report=stop)
    assert not (tmp_path / "a").exists()
    with pytest.raises(OutputError, match="unfinished run with another settings"):
        sft_ref.train(tmp_path / "a", base="toy", policy="fp32", settings=SHORT)

    seen: list[Step] = []
    history = sft_ref.train(tmp_path / "a", base="toy", policy="fp32", settings=settings, report=seen.append)
    assert [step.step for step in seen] == [5, 6]
    assert [step.step for step in history] == [1, 2, 3, 4, 5, 6]
    assert [step.loss for step in history] == pytest.approx([step.loss for step in straight], rel=1e-6)
    due, found = load_file(tmp_path / "straight" / WEIGHTS), load_file(tmp_path / "a" / WEIGHTS)
    assert all(torch.equal(found[name], due[name]) for name in due)
    assert not Path(f"{tmp_path / 'a'}.partial").exists()
