"""Each finding: the fault, planted in a loop that trains, is found; its sound twin has no finding at all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import witnessed
from transformers.modeling_outputs import CausalLMOutput
from witnessed import Batch, Row, adamw, adapted_toy, collate, load_toy, no_warnings, toy_batches, toy_rows, watch

import sft_ref
from sft_ref.errors import SftRefError, TrainingError

END = 2


def rows_as(change: Any) -> Any:
    """Batches of rows that are changed one by one."""
    return lambda: [collate([change(*row) for row in toy_rows(4, 4 * n)]) for n in range(3)]


def all_masked(ids: list[int], labels: list[int]) -> Row:
    return ids, [-100] * len(ids)


def nothing_masked(ids: list[int], labels: list[int]) -> Row:
    return ids, list(ids)


def without_end(ids: list[int], labels: list[int]) -> Row:
    return ids, [*labels[:-1], -100]


def shifted(ids: list[int], labels: list[int]) -> Row:
    return ids, [*labels[1:], -100]


def shuffled(ids: list[int], labels: list[int]) -> Row:
    return ids, [label if label == -100 else (label + 7) % 700 + 3 for label in labels[:-1]] + labels[-1:]


def truncated() -> list[Batch]:
    """Rows of which some are cut at a length."""
    rows = toy_rows(12)
    most = sorted(len(ids) for ids, _ in rows)[6]
    return [collate([(ids[:most], labels[:most]) for ids, labels in rows])] * 3


def packed() -> list[Batch]:
    """All rows behind one another, cut at a length: the last text of each goes on in the next."""
    ids = [each for row, _ in toy_rows(12) for each in row]
    labels = [each for _, row in toy_rows(12) for each in row]
    positions = [place for row, _ in toy_rows(12) for place in range(len(row))]
    half = len(ids) // 2
    batch = {
        "input_ids": torch.tensor([ids[:half], ids[half : 2 * half]]),
        "labels": torch.tensor([labels[:half], labels[half : 2 * half]]),
        "position_ids": torch.tensor([positions[:half], positions[half : 2 * half]]),
    }
    return [batch] * 3


def cut_into_rows() -> list[Batch]:
    """All rows behind one another, cut into rows of one length, as packing without positions leaves them."""
    ids, labels = ([each for row in toy_rows(12) for each in row[part]] for part in (0, 1))
    ends = [place + 1 for place, each in enumerate(ids) if each == END]
    width = ends[2]  # the first row ends with a text, and the second does not
    return [collate([(part[:width], due[:width]) for part, due in ((ids, labels), (ids[width:], labels[width:]))])] * 3


def padded(label: int) -> Any:
    return lambda: [collate(toy_rows(4, 4 * n), padding=5, padding_label=label) for n in range(3)]


def partly_masked() -> list[Batch]:
    rows = toy_rows(12)
    return [collate([all_masked(*rows[n]), *rows[n + 1 : n + 4]]) for n in (0, 4, 8)]


def whole_loss(model: Any, batch: Batch) -> torch.Tensor:
    """Cross-entropy of every token, whatever the labels say."""
    logits = model(**batch).logits
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), batch["input_ids"][:, 1:].flatten())


def negative_loss(model: Any, batch: Batch) -> torch.Tensor:
    return -witnessed.own_loss(model, batch)


def written_loss(model: Any, batch: Batch) -> torch.Tensor:
    """The labels' cross-entropy as people write it, with label smoothing."""
    logits = model(**batch).logits[:, :-1].flatten(0, 1)
    return torch.nn.functional.cross_entropy(logits, batch["labels"][:, 1:].flatten(), label_smoothing=0.1)


def frozen_adapter() -> Any:
    model = adapted_toy()
    for name, each in model.named_parameters():
        if "layers.0" in name:
            each.requires_grad_(requires_grad=False)
    return model


def half_optimizer(model: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW([p for n, p in model.named_parameters() if "lora_A" in n and p.requires_grad], lr=1e-3)


def base_optimizer(model: Any) -> torch.optim.Optimizer:
    """Made before the adapter was put on the model."""
    return torch.optim.AdamW([p for n, p in model.named_parameters() if "lora_" not in n], lr=1e-3)


def foreign_optimizer(_model: Any) -> torch.optim.Optimizer:
    """Of a copy of the parameters."""
    parameter = torch.nn.Parameter(torch.zeros(3))
    parameter.grad = torch.ones(3)
    return torch.optim.AdamW([parameter], lr=1e-3)


def trained_base() -> Any:
    model = adapted_toy()
    model.get_input_embeddings().weight.requires_grad_()
    return model


def saved_modules() -> Any:
    """Trained whole, and saved with the adapter."""
    return adapted_toy(modules_to_save=["up_proj"], target_modules=["q_proj"])


def checkpointed(*, reentrant: bool) -> Any:
    def make() -> Any:
        model = adapted_toy()
        with no_warnings():
            model.get_base_model().gradient_checkpointing_enable({"use_reentrant": reentrant})
        model.get_base_model().disable_input_require_grads()  # older versions do not enable it
        return model

    return make


def fused(*, reentrant: bool) -> Any:
    """Checkpointed; the loss is computed without the output head as a module, as fused kernels do."""

    def make() -> Any:
        model = checkpointed(reentrant=reentrant)()
        base = model.get_base_model()

        def forward(labels: Any, **inputs: Any) -> Any:
            hidden = base.model(**{name: each for name, each in inputs.items() if each is not None}).last_hidden_state
            logits = torch.nn.functional.linear(hidden, base.lm_head.weight)
            return CausalLMOutput(base.loss_function(logits, labels, vocab_size=logits.shape[-1]))

        base.forward = forward
        return model

    return make


def checkpointed_with_input_gradients() -> Any:
    model = checkpointed(reentrant=True)()
    model.enable_input_require_grads()
    return model


def zeroed(model: Any) -> Any:
    for name, each in model.named_parameters():
        if "lora_A" in name:
            each.data.zero_()
    return model


def evaluating() -> Any:
    return adapted_toy(lora_dropout=0.1).eval()


def sleeping() -> Any:
    model = adapted_toy(lora_dropout=0.1)
    for name, module in model.named_modules():
        if "layers.1" in name and isinstance(module, torch.nn.Dropout):
            module.eval()
    return model


def nan_loss(model: Any, batch: Batch) -> torch.Tensor:
    return witnessed.own_loss(model, batch) * torch.nan


def mixed_dtypes() -> Any:
    model = adapted_toy()
    for name, each in model.named_parameters():
        if "lora_A" in name:
            each.data = each.data.bfloat16()
    return model


def with_biases() -> Any:
    base = load_toy()
    for module in base.modules():
        if isinstance(module, torch.nn.Linear) and module is not base.lm_head:
            module.bias = torch.nn.Parameter(torch.zeros(module.out_features))
    return base


def in_bfloat16() -> Any:
    return load_toy(torch.bfloat16)


def until(last: int) -> Any:
    """A schedule that falls to zero at a step."""
    return lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.0, 1 - step / last))


def unused() -> Any:
    """The last layer's feed-forward is skipped."""
    model = adapted_toy()
    model.get_base_model().model.layers[2].mlp.forward = torch.zeros_like
    return model


FAULTS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "labels all masked": (
        {"batches": rows_as(all_masked)},
        {},
        r"all 4 rows of the first step have no supervised token",
    ),
    "labels of some rows masked": ({"batches": partly_masked}, {}, r"1 of 4 rows of the first step have no supervised"),
    "nothing masked": (
        {"batches": rows_as(nothing_masked)},
        {"batches": rows_as(nothing_masked), "witness": {"supervised": "all"}},
        r"nothing is masked in all 4 rows",
    ),
    "end not supervised": ({"batches": rows_as(without_end)}, {}, r"no row .* supervises the token that ends"),
    "answers cut": ({"batches": truncated}, {"batches": packed}, r"answers are cut by truncation"),
    "padding supervised": ({"batches": padded(5)}, {"batches": padded(-100)}, r"tokens of padding are supervised"),
    "labels shifted twice": ({"batches": rows_as(shifted)}, {}, r"shifted by one, and the model shifts them again"),
    "labels of other tokens": ({"batches": rows_as(shuffled)}, {}, r"labels are other tokens than the input"),
    "loss over all tokens": ({"loss": whole_loss}, {"loss": written_loss}, r"loss is not the labels' cross-entropy"),
    "loss with the wrong sign": ({"loss": negative_loss}, {}, r"has a cosine of -1\.00"),
    "part of the adapter frozen": ({"model": frozen_adapter}, {}, r"14 of 42 tensors of the adapter are frozen"),
    "half of the adapter in the optimizer": ({"optimizer": half_optimizer}, {}, r"does not hold 21 of 42 tensors"),
    "optimizer of the base": ({"optimizer": base_optimizer}, {}, r"does not hold all 42 tensors of the adapter"),
    "optimizer of another model": ({"optimizer": foreign_optimizer}, {}, r"holds no parameter of this model"),
    "base trained": ({"model": trained_base}, {"model": saved_modules}, r"1 tensors of the base are trained"),
    "checkpointing without input gradients": (
        {"model": checkpointed(reentrant=True)},
        {"model": checkpointed_with_input_gradients},
        r"gradient checkpointing in its reentrant form",
    ),
    "the same, with a fused head": (
        {"model": fused(reentrant=True)},
        {"model": fused(reentrant=False)},
        r"gradient checkpointing in its reentrant form",
    ),
    "gradient cut": ({"model": unused}, {"model": checkpointed(reentrant=False)}, r"no gradient reaches 3 of 21"),
    "A and B zero": ({"model": lambda: zeroed(adapted_toy())}, {}, r"gradient of all 21 modules .* is zero"),
    "gradients not finite": ({"loss": nan_loss}, {}, r"gradient of all 21 modules .* is NaN or infinite"),
    "evaluation mode": (
        {"model": evaluating},
        {"model": lambda: adapted_toy(lora_dropout=0.1)},
        r"the model is in evaluation mode in all 1 forwards",
    ),
    "dropout asleep": ({"model": sleeping}, {}, r"dropout of 7 modules is in evaluation mode"),
    "adapter in float16": (
        {"model": lambda: adapted_toy(load_toy(torch.float16), autocast_adapter_dtype=False)},
        {"model": lambda: adapted_toy(in_bfloat16())},
        r"all 42 tensors of the adapter are trained in float16",
    ),
    "dtypes mixed": (
        {"model": mixed_dtypes, "autocast": torch.bfloat16},
        {"autocast": torch.bfloat16},
        r"adapter's tensors have several dtypes",
    ),
    "autocast in another 16 bits than the base": (
        {"model": lambda: adapted_toy(load_toy(torch.float16)), "autocast": torch.bfloat16},
        {"model": lambda: adapted_toy(in_bfloat16()), "autocast": torch.bfloat16},
        r"autocast computes in bfloat16 over a base that is stored in float16",
    ),
    "rate too small": (
        {"optimizer": lambda model: adamw(model, 1e-7), "witness": {"steps": 3}},
        {"optimizer": lambda model: adamw(model, 1e-4), "witness": {"steps": 3}},
        r"rates of all 3 planned steps add up to 3e-07: nothing can move",
    ),
    "rate too small, steps not known": (
        {"optimizer": lambda model: adamw(model, 1e-7)},
        {},
        r"rates of all 3 steps added up to 3e-07",
    ),
    "rate lost to rounding": (
        {
            "model": lambda: adapted_toy(
                load_toy(torch.bfloat16), autocast_adapter_dtype=False, init_lora_weights=False
            ),
            "optimizer": lambda model: adamw(model, 1e-6),
            "witness": {"steps": 100},
        },
        {
            "model": lambda: adapted_toy(in_bfloat16(), init_lora_weights=False),
            "optimizer": lambda model: adamw(model, 1e-6),
            "witness": {"steps": 100},
        },
        r"are smaller than the spacing",
    ),
    "schedule ends early": (
        {"schedule": until(30), "witness": {"steps": 100}},
        {"schedule": until(100), "witness": {"steps": 100}},
        r"the learning rate is zero from step 31 on, of 100 planned",
    ),
    "schedule ends early, steps not known": (
        {"schedule": until(2), "batches": lambda: toy_batches(6, 2)},
        {"schedule": until(6), "batches": lambda: toy_batches(6, 2)},
        r"the learning rate is zero from step 3 on, of 6 of the training",
    ),
    "gradients not zeroed": ({"zeroes": False}, {}, r"gradients of the first step are still there"),
    "no step": ({"batches": lambda: toy_batches(1), "accumulate": 8}, {"accumulate": 3}, r"no optimizer of torch made"),
}
"""Name -> what is changed in a loop, what is changed in its sound twin, and what is found."""

FATAL = {
    "labels all masked",
    "labels shifted twice",
    "loss with the wrong sign",
    "optimizer of the base",
    "optimizer of another model",
    "checkpointing without input gradients",
    "the same, with a fused head",
    "A and B zero",
    "gradients not finite",
    "rate too small",
    "rate too small, steps not known",
    "rate lost to rounding",
    "no step",
}
"""Nothing can be learned."""


def behind_new_line(ids: list[int], labels: list[int]) -> Row:
    """As chat templates end: a new line behind the end token."""
    return [*ids, 5], [*labels, 5]


class TwoOptimizers:
    """A discriminator is trained in turn with the model."""

    def __call__(self, model: Any) -> torch.optim.Optimizer:
        other = torch.nn.Parameter(torch.zeros(3))
        other.grad = torch.ones(3)
        optimizer, foreign = adamw(model), torch.optim.SGD([other], lr=0.1)
        optimizer.register_step_pre_hook(lambda *_: foreign.step())
        return optimizer


def compiled() -> Any:
    return torch.compile(adapted_toy(), backend="eager")


def against_base(model: Any, batch: Batch) -> torch.Tensor:
    """The labels' cross-entropy, and the distance from the base, which is run without `no_grad`."""
    with model.disable_adapter():
        base = model(**batch).logits
    output = model(**batch)
    distance = (output.logits.log_softmax(-1).exp() - base.log_softmax(-1).exp()).pow(2).mean()
    loss: torch.Tensor = output.loss + 1e-3 * distance
    return loss


SOUND: dict[str, dict[str, Any]] = {
    "the base is run beside it": {"loss": against_base},
    "texts behind one another, cut into rows": {"batches": cut_into_rows},
    "a new line behind the end": {"batches": rows_as(behind_new_line)},
    "another model is trained in turn": {"optimizer": TwoOptimizers()},
    "biases are saved": {"model": lambda: adapted_toy(with_biases(), bias="all")},
    "a compiled model": {"model": compiled},
    "SGD with a small rate": {
        "optimizer": lambda model: torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-6),
        "witness": {"steps": 3},
    },
    "a warm-up from zero": {
        "schedule": lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, step / 2)),
        "witness": {"steps": 100},
    },
}
"""Name -> an unusual loop that nothing is wrong with."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if "compiled" in name else []) for name in SOUND]
)
def test_an_unusual_loop_has_no_finding(name: str, tmp_path: Path) -> None:
    assert watch(tmp_path, **SOUND[name]) == []


@pytest.mark.parametrize("model", [torch.nn.Linear(2, 2), torch.nn.Sequential(torch.nn.Linear(2, 2))])
def test_a_model_of_another_library_is_refused_in_a_line(model: torch.nn.Module, tmp_path: Path) -> None:
    with pytest.raises(SftRefError, match="no model of transformers or peft"), sft_ref.witness(model, None, tmp_path):
        pass


def test_an_unknown_option_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SftRefError, match="on_fault is 'ignore'"):
        watch(tmp_path, witness={"on_fault": "ignore"})


def test_a_fatal_fault_ends_the_training_before_anything_changes(tmp_path: Path) -> None:
    model = adapted_toy()
    before = {name: each.clone() for name, each in model.state_dict().items()}
    masked = [collate([all_masked(*row) for row in toy_rows(4)])]
    with (
        witnessed.no_warnings(),
        pytest.raises(TrainingError, match="have no supervised token"),
        sft_ref.witness(model, witnessed.tokenizer(), tmp_path),
    ):
        witnessed.train_loop(model, masked, adamw(model))
    assert all(torch.equal(each, model.state_dict()[name]) for name, each in before.items())
    assert not list(tmp_path.iterdir())
    assert "save_pretrained" not in vars(model)


def matching(faults: Sequence[Any], pattern: str) -> list[Any]:
    return [fault for fault in faults if re.search(pattern, str(fault))]


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(name: str, tmp_path: Path) -> None:
    fault, _, pattern = FAULTS[name]
    found = matching(watch(tmp_path, **fault), pattern)
    assert found
    assert any(each.is_fatal for each in found) == (name in FATAL)
    assert all(each.mend for each in found)


@pytest.mark.parametrize("name", FAULTS)
def test_its_sound_twin_has_no_finding(name: str, tmp_path: Path) -> None:
    _, twin, _ = FAULTS[name]
    if twin:  # an empty twin is the plain loop
        assert watch(tmp_path, **twin) == []


def test_the_plain_loop_has_no_finding(tmp_path: Path) -> None:
    assert watch(tmp_path) == []
