"""The optimizer steps of a submission's training: what the agent records of them, and how they are judged."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from observed_loops import (
    STEPS,
    Accumulated,
    AutocastLost,
    FromAnotherAdapter,
    FromAnotherBase,
    Frozen,
    Loop,
    NeverZeroed,
    NoRate,
    SharpnessAware,
    TwoModels,
    Unfrozen,
    WithoutPeft,
    ZeroedWithin,
)
from recorded import Capture, Sections, observe, record
from safetensors.torch import load_file

from sft_ref.harness.checks.shared import steps as step_checks
from sft_ref.harness.checks.submission.train import _compare_with_replay, adapter_moves, batches_are_not_repeated
from sft_ref.harness.core.check import Outcome, checks_in
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.core.training_examples import TrainingExample
from sft_ref.harness.evidence import Evidence, storage
from sft_ref.harness.evidence.experiments import TrainingSwap
from sft_ref.harness.evidence.training import FirstLosses, RecordedStep, TrainingSteps
from sft_ref.harness.grading.saved import grade_saved
from sft_ref.harness.instruments.losses import text_losses
from sft_ref.harness.instruments.steps.optimizer_recorder import _MOST_VALUES, OptimizerRecorder, _sampled
from sft_ref.harness.instruments.steps.step_recorder import StepRecorder
from sft_ref.harness.recorders.submission.sections import is_well_formed
from sft_ref.harness.recorders.submission.trained_parts import _first_losses
from sft_ref.reference.bases.find import TOY
from sft_ref.reference.models import load_model
from sft_ref.reference.precision import POLICIES


def steps_of(found: list[dict[str, Any]]) -> TrainingSteps:
    """As the judge reads them, each forward pass with rows of its own."""
    trained: frozenset[str] = frozenset()
    steps = []
    for each in json.loads(json.dumps(found)):
        trained = trained if each["trained"] is None else frozenset(each["trained"])
        fields: dict[str, Any] = {name: each[name] for name in ("rate", "decay", "clipping", "clipped", "dtypes")}
        fields["betas"] = tuple(map(tuple, each["betas"]))
        names: dict[str, Any] = {name: tuple(each[name]) for name in ("outside", "stale", "dropped", "idle")}
        rows = tuple(range(*each["passes"]))
        steps.append(RecordedStep(**fields, **names, rows=rows, loss=None, gradient_scale=None, trained=trained))
    return TrainingSteps(tuple(steps), len(steps))


def failing(steps: TrainingSteps) -> set[str]:
    """Ids of the checks that fail."""
    failed = set()
    for each in checks_in(step_checks):
        if each.needs != ("training_steps",):
            continue
        try:
            each.run(steps)
        except Failure:
            failed.add(each.id)
        except Unavailable:
            pass
    return failed


@pytest.mark.parametrize(
    ("loop", "failed"),
    [
        (Loop, set()),
        (Accumulated, set()),
        (Unfrozen, set()),
        (WithoutPeft, set()),
        (NoRate, set()),
        (NeverZeroed, {"TRN-015"}),
        (ZeroedWithin, {"TRN-015"}),
        (Frozen, {"TRN-016"}),
        (AutocastLost, {"TRN-021"}),
    ],
)
def test_the_agent_records_what_tells_a_fault_from_its_sound_twin(
    loop: Callable[[Path], Loop], failed: set[str], tmp_path: Path
) -> None:
    observed = loop(tmp_path)
    found = observed.run()
    assert not observed.writer.notes
    assert len(found) == STEPS
    assert failing(steps_of(found)) == failed
    written = json.loads((tmp_path / "out" / "training_steps.json").read_text(encoding="utf-8"))
    assert written.pop("nonce") == "nonce"
    assert is_well_formed("training_steps", written)
    assert [each["passes"] for each in written["steps"]] == [
        [step * observed.micro_batches, (step + 1) * observed.micro_batches] for step in range(STEPS)
    ]


def test_passes_at_trial_weights_are_of_no_step(tmp_path: Path) -> None:
    loop = SharpnessAware(tmp_path)
    found = loop.run()
    assert [each["passes"] for each in found] == [[2 * step + 1, 2 * step + 2] for step in range(STEPS)]
    assert not failing(steps_of(found))
    batches = [rows for rows, _ in loop.recorder.texts.forward_passes]
    assert batches[::2] == batches[1::2]


@pytest.mark.parametrize(("loop", "models"), [(Loop, 1), (TwoModels, 2)])
def test_trained_models_are_counted(loop: Callable[[Path], Loop], models: int, tmp_path: Path) -> None:
    observed = loop(tmp_path)
    assert len(observed.run()) == STEPS
    log = json.loads((tmp_path / "out" / "training_log.json").read_text(encoding="utf-8"))
    assert log["models"] == models
    assert not log["is_cut"]


def test_the_log_says_that_the_time_limit_ended_the_training(tmp_path: Path) -> None:
    observed = Loop(tmp_path)
    observed.run()
    observed.recorder.limit.is_over = True
    observed.recorder.finish()
    assert json.loads((tmp_path / "out" / "training_log.json").read_text(encoding="utf-8"))["is_cut"]


def test_recording_changes_no_weight_and_leaves_no_hook(tmp_path: Path) -> None:
    class Unobserved(Loop):
        def begin(self) -> None:
            super().begin()
            self.recorder.steps._begin = lambda model: None  # type: ignore[method-assign]

    one, other = Loop(tmp_path / "one"), Unobserved(tmp_path / "other")
    assert len(one.run()) == STEPS
    assert not other.run()
    for own, due in zip(one.inner.parameters(), other.inner.parameters(), strict=True):
        assert torch.equal(own, due)
    assert not any(each._backward_hooks for each in one.inner.parameters())
    assert not any(each._forward_hooks for each in one.inner.modules())


def test_a_step_that_cannot_be_recorded_is_a_note_and_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Loop(tmp_path)
    monkeypatch.setattr(StepRecorder, "before_step", lambda self, optimizer: optimizer.unheard_of)
    assert loop.run() == []
    [note] = loop.writer.notes
    assert note.startswith("the optimizer steps of training were not recorded: AttributeError")


def test_a_gradient_that_cannot_be_recorded_does_not_end_the_backward_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = Loop(tmp_path)
    monkeypatch.setattr(
        OptimizerRecorder, "_lengths", property(lambda self: self.unheard_of, lambda self, value: None), raising=False
    )
    assert loop.run() == []
    [note] = loop.writer.notes
    assert note.startswith("the optimizer steps of training were not recorded: AttributeError")
    assert not any(each._backward_hooks for each in loop.inner.parameters())


def test_values_of_a_large_tensor_are_sampled() -> None:
    assert torch.equal(_sampled(torch.ones(3, 5)), torch.ones(15))
    large = _sampled(torch.arange(_MOST_VALUES * 3 + 1))
    assert large.numel() <= _MOST_VALUES
    assert large.diff().unique().tolist() == [4]


def shown(rows: list[list[int]]) -> TrainingSteps:
    """Steps that show these rows."""
    fields: dict[str, Any] = {
        "loss": None,
        "gradient_scale": None,
        "trained": frozenset(),
        "dtypes": None,
        "clipping": None,
    }
    steps = [
        RecordedStep(
            rate=1.0, rows=tuple(row), outside=(), stale=(), dropped=(), idle=(), decay=0.0, clipped=1.0, **fields
        )
        for row in rows
    ]
    return TrainingSteps(tuple(steps), len({row for each in rows for row in each}))


IN_ORDER = [[first, first + 1, first + 2, first + 3] for first in range(0, 64, 4)]


@pytest.mark.parametrize(
    ("rows", "fails"),
    [
        (IN_ORDER * 3, False),
        ([rows for rows in IN_ORDER for _ in range(2)], True),  # two workers with the same rows
        ([rows * 2 for rows in IN_ORDER], True),  # the same within a step
        ([row for pair in zip(IN_ORDER, IN_ORDER[::-1], strict=True) for row in pair], False),
        (torch.randint(64, (200, 4), generator=torch.Generator().manual_seed(0)).tolist(), False),  # with replacement
    ],
)
def test_rows_that_come_again_at_once_are_told(rows: list[list[int]], fails: bool) -> None:
    if fails:
        with pytest.raises(Failure, match="of the rows of a step occur twice"):
            batches_are_not_repeated.run(shown(rows))
    else:
        batches_are_not_repeated.run(shown(rows))


def test_a_few_rows_in_each_batch_tell_nothing() -> None:
    with pytest.raises(Unavailable, match="4 different rows, at most 4 in a step"):
        batches_are_not_repeated.run(shown([[0, 1, 2, 3]] * 9))


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Capture:
    return record(tmp_path_factory.mktemp("capture") / "work")


@pytest.mark.parametrize("loop", [Loop, FromAnotherBase, FromAnotherAdapter])
def test_losses_before_the_first_step_tell_another_base_and_are_not_taken_of_an_adapter_that_is_not_blank(
    loop: type[Loop], tmp_path: Path
) -> None:
    observed = loop(tmp_path)
    assert observed.run()
    file = tmp_path / "out" / "first_losses.safetensors"
    assert file.is_file() == (loop is not FromAnotherAdapter)
    if loop is FromAnotherAdapter:
        return
    ids = list(observed.recorder.texts.examples[0][0]), list(observed.recorder.texts.examples[1][0])
    first = FirstLosses(
        load_file(file)["losses"], text_losses(load_model(TOY, POLICIES["fp32"]), ids).flatten(), frozenset()
    )
    if loop is Loop:
        step_checks.training_starts_from_the_base.run(first)
    else:
        with pytest.raises(Failure, match="losses at the first step differ from the base's"):
            step_checks.training_starts_from_the_base.run(first)


def recorded_step(number: int, **change: Any) -> dict[str, Any]:  # noqa: ANN401
    """A sound step of the recorded submission, some of it changed."""
    sound = {
        "rate": 3e-3,
        "trained": ["model.lora_A", "model.lora_B"] if number == 0 else None,
        "outside": [],
        "stale": [],
        "dropped": [],
        "idle": [],
        "decay": 0.0,
        "clipping": 1.0,
        "clipped": 1.0,
        "dtypes": {"model": "float32"},
        "betas": [[0.9, 0.999]],
        "passes": [number, number + 1],
    }
    return {**sound, **change}


def with_stale_gradients(recorded: dict[str, Sections]) -> None:
    """Every step but the first adds its gradients to earlier ones."""
    steps = [recorded_step(number, stale=["model.lora_A"] if number else []) for number in range(12)]
    recorded["train"]["training_steps"] = {"steps": steps}


def test_recorded_steps_are_evidence_that_is_saved_and_accuses(capture: Capture, tmp_path: Path) -> None:
    evidence = observe(capture, with_stale_gradients)
    storage.save(evidence, tmp_path / "it.safetensors")
    loaded = storage.load(tmp_path / "it.safetensors", Evidence)
    assert loaded.training_steps == evidence.training_steps
    assert evidence.training_steps is not None
    assert evidence.training_steps.steps[3].trained == {"model.lora_A", "model.lora_B"}
    assert evidence.training_steps.steps[3].rows == tuple(range(48))
    verdict = grade_saved(loaded, "it")
    assert "train" in verdict.stages
    [stale] = [each for each in verdict.results if each.check.id == "TRN-015"]
    assert stale.outcome is Outcome.FAIL
    assert stale.survivable


def test_steps_that_are_not_recorded_are_skipped_and_steps_never_clear(capture: Capture) -> None:
    results = {each.check.id: each for each in grade_saved(observe(capture), "it").results}
    assert results["TRN-015"].outcome is Outcome.SKIPPED
    assert not any(each.core for each in checks_in(step_checks))


@pytest.mark.parametrize("models", [1, 2])
def test_a_replay_of_several_trainings_is_compared_with_none(models: int, capture: Capture) -> None:
    training = replace(observe(capture).training, has_moved=True, models=models)
    swap = TrainingSwap(answer_losses=torch.full((64,), 2.0), replayed_answer_losses=torch.ones(64))
    with pytest.raises(Failure if models == 1 else Unavailable, match="nat a token" if models == 1 else "2 models"):
        _compare_with_replay(training, swap)


@pytest.mark.parametrize(("loss", "outcome"), [(1.4, Unavailable), (4.0, Failure), (1.0, None)])
def test_a_training_that_the_time_limit_cut_is_not_accused_for_a_small_difference(
    loss: float, outcome: type[Exception] | None, capture: Capture
) -> None:
    """A processor of another speed cuts it elsewhere; base 5 nat, reference 1 nat."""
    training = replace(observe(capture).training, has_moved=True, is_cut=True)
    own, due, base = (torch.full((64,), each) for each in (loss, 1.0, 5.0))
    swap = TrainingSwap(own, due, own, due, base)
    with pytest.raises(outcome) if outcome else contextlib.nullcontext():
        _compare_with_replay(training, swap)
    if outcome:
        with pytest.raises(Failure):
            _compare_with_replay(replace(training, is_cut=False), swap)


def test_a_training_that_the_time_limit_ends_is_cut(capture: Capture) -> None:
    def cut(recorded: dict[str, Sections]) -> None:
        recorded["train"]["training_log"]["is_cut"] = True

    assert not observe(capture).training.is_cut
    assert observe(capture, cut).training.is_cut


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, ""),
        ({"clipped": 0.0}, "; no gradient reaches them, as from a loss that is detached from the model"),
        ({"outside": ("model.lora_A", "model.lora_B")}, ", none of which is the adapter's"),
        ({"outside": ("model.lora_A",)}, ""),
    ],
    ids=["not known", "no gradient", "not in the optimizer", "half in the optimizer"],
)
def test_an_adapter_that_stays_at_zero_has_its_reason(fields: dict[str, Any], reason: str, capture: Capture) -> None:
    evidence = observe(capture, with_stale_gradients)
    training, recorded = evidence.training, evidence.training_steps
    assert recorded is not None
    steps = tuple(replace(step, **fields) for step in recorded.steps)
    adapter = {name: torch.zeros_like(tensor) for name, tensor in training.adapter.items()}
    training = replace(training, adapter=adapter, recorded=replace(recorded, steps=steps))
    with pytest.raises(Failure) as failure:
        adapter_moves.run(replace(evidence, training=training))
    assert failure.value.observed.endswith(f"tensors{reason}")


@pytest.mark.parametrize(
    ("passes", "begin", "losses"),
    [
        ([[[0], None]], 7, 2),
        ([], 0, 2),
        ([[[9], None]], 0, 2),
        ([[[], None]], 0, 0),
        ([[[0], None]], 0, 3),
        ([[[1], None]], 0, 0),
        ([[[2], None]], 0, 2),
        ([[[0] * 2**15, None]], 0, 2**16),
    ],
    ids=["no such pass", "no pass", "no such text", "no row", "other tokens", "no token", "other labels", "too many"],
)
def test_first_losses_that_do_not_fit_the_log_are_not_known(passes: list[Any], begin: int, losses: int) -> None:
    texts = [((5, 6, 7), (5, 6, 7)), ((), ()), ((5, 6, 7), (5,))]
    recording: Any = SimpleNamespace(
        training=SimpleNamespace(tensors=lambda name: {"losses": torch.ones(losses)}),
        training_log={"first_pass": begin, "forward_passes": passes},
        examples=[TrainingExample(*each) for each in texts],
        foreign=[],
    )
    assert _first_losses(recording, TrainingSteps((), 3)) is None


@pytest.mark.parametrize("is_cut", [False, True])
def test_a_warm_up_that_outlasts_the_training_is_named_unless_the_grading_cut_it(is_cut: bool) -> None:
    none: dict[str, Any] = dict.fromkeys(("outside", "stale", "dropped", "idle", "trained"), ())
    step = RecordedStep(0.0, (0,), None, None, **none, decay=0.0, clipping=None, clipped=0.0, dtypes=None)
    rising = TrainingSteps(tuple(replace(step, rate=1e-4 * n) for n in range(1, 24)), 24, is_cut=is_cut)
    if is_cut:
        with pytest.raises(Unavailable, match="time limit"):
            step_checks.warmup_ends.run(rising)
    else:
        with pytest.raises(Failure, match="still rising at the last of 23 steps"):
            step_checks.warmup_ends.run(rising)
