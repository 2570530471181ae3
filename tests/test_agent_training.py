"""The agent in training: padding that is cut, packed rows, and CUDA mapped to the CPU."""

from __future__ import annotations

import copy
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from sft_ref.harness.core.training_examples import TrainingExample
from sft_ref.harness.instruments.losses import text_losses
from sft_ref.harness.recorders.submission.agent import batches, inspection
from sft_ref.harness.recorders.submission.agent.results import ResultWriter
from sft_ref.harness.recorders.submission.agent.time_limit import TimeLimit
from sft_ref.harness.recorders.submission.agent.training_recorder.recorder import TrainingRecorder
from sft_ref.harness.recorders.submission.replay import Packed, ReplayStep, _loss
from sft_ref.reference.bases.find import TOY
from sft_ref.reference.models import load_model
from sft_ref.reference.precision import POLICIES
from sft_ref.reference.tokens import IGNORE_INDEX

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def model() -> Any:  # noqa: ANN401
    return load_model(TOY, POLICIES["fp32"]).eval()


def batch(side: str, width: int = 48, *, prompt: int = 6) -> dict[str, torch.Tensor]:
    """Three texts of 12 to 16 tokens, padded to a fixed width; what follows the prompt is labelled."""
    torch.manual_seed(0)
    ids, mask = torch.full((3, width), 2), torch.zeros(3, width, dtype=torch.long)
    labels = torch.full((3, width), IGNORE_INDEX)
    for row, count in enumerate((12, 16, 14)):
        begin = 0 if side == "right" else width - count
        text = torch.randint(3, 700, (count,))
        ids[row, begin : begin + count], mask[row, begin : begin + count] = text, 1
        labels[row, begin + prompt : begin + count] = text[prompt:]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def outcome(model: Any, given: Mapping[str, Any], left: int = 0, right: int = 0) -> tuple[Any, ...]:  # noqa: ANN401
    model.zero_grad()
    output = batches.widen(model(**given), left, right)
    output.loss.backward()
    return output.loss.detach(), output.logits.detach(), [weight.grad.clone() for weight in model.parameters()]


@pytest.mark.parametrize(("side", "cut"), [("right", (0, 32)), ("left", (32, 0))])
def test_cut_padding_changes_no_loss_logit_or_gradient(model: Any, side: str, cut: tuple[int, int]) -> None:  # noqa: ANN401
    given = batch(side)
    trimmed, *columns = batches.trim(given, given["labels"], model.config)
    assert tuple(columns) == cut
    assert trimmed["input_ids"].shape == (3, 16)
    (loss, logits, gradients), (own, mine, others) = outcome(model, given), outcome(model, trimmed, *cut)
    kept = given["attention_mask"].bool()
    torch.testing.assert_close(own, loss, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(mine[kept], logits[kept], rtol=1e-4, atol=1e-4)
    for one, other in zip(others, gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        lambda given: given["labels"].__setitem__((0, -1), 5),  # padding that is supervised
        lambda given: given.update(attention_mask=None),
        lambda given: given.update(output_hidden_states=True),
        lambda given: given.update(inputs_of_another_kind=torch.ones(3, 48)),
        lambda given: given["attention_mask"].fill_(1),
    ],
)
def test_padding_that_may_change_something_stays(model: Any, change: Any) -> None:  # noqa: ANN401
    given: dict[str, Any] = dict(batch("right"))
    change(given)
    assert batches.trim(given, given["labels"], model.config) == (given, 0, 0)


def test_padding_stays_where_labels_are_not_known_or_a_label_is_predicted_from_it(model: Any) -> None:  # noqa: ANN401
    given = batch("left", prompt=0)  # the first token of each text is labelled
    assert batches.trim(given, given["labels"], model.config)[1:] == (0, 0)
    assert batches.trim(batch("right"), None, model.config)[1:] == (0, 0)


def test_nothing_is_cut_on_the_left_of_a_model_without_positions(model: Any) -> None:  # noqa: ANN401
    given = batch("left")
    assert batches.trim(given, given["labels"], model.config)[1] > 0
    assert batches.trim(given, given["labels"], model.config, takes_positions=False) == (given, 0, 0)


def packed() -> dict[str, torch.Tensor]:
    """One row of two examples, of 6 and 4 tokens."""
    torch.manual_seed(1)
    positions = torch.tensor([[*range(6), *range(4)]])
    return {"input_ids": torch.randint(3, 700, (1, 10)), "position_ids": positions}


def blocks() -> torch.Tensor:
    """A mask under which the examples of `packed` do not see each other."""
    allowed = torch.ones(10, 10).tril().bool()
    allowed[6:, :6] = False
    return torch.zeros(10, 10).masked_fill(~allowed, torch.finfo(torch.float32).min)[None, None]


@pytest.mark.parametrize(
    ("more", "crosses"),
    [
        ({"attention_mask": torch.ones(1, 10, dtype=torch.long)}, True),
        ({"attention_mask": blocks()}, False),
        ({"attention_mask": blocks() == 0}, True),  # eager attention adds what it is given
        ({"use_cache": False}, False),  # transformers takes positions that begin anew for borders
        ({"use_cache": True}, True),  # but not where there is a cache
    ],
)
def test_whether_attention_crosses_examples_is_found_by_trying(model: Any, more: Any, crosses: bool) -> None:  # noqa: ANN401
    given, kept = {**packed(), **more}, torch.ones(1, 10, dtype=torch.bool)
    division = batches.divide(given["input_ids"], kept, given)
    assert division.parts == [[(0, 6), (6, 10)]]
    assert batches.Reach().crosses(model, given, kept, division) is crosses


def test_rows_are_divided_by_masks_of_blocks_and_cumulated_lengths_too() -> None:
    ids, kept = packed()["input_ids"], torch.ones(1, 10, dtype=torch.bool)
    for given in ({"attention_mask": blocks()}, {"cu_seq_lens_q": torch.tensor([0, 6, 10])}):
        assert batches.divide(ids, kept, given).parts == [[(0, 6), (6, 10)]]
    assert not batches.divide(ids, kept, {}).is_packed


def test_padding_on_the_left_with_positions_of_its_own_is_not_packed() -> None:
    given = batch("left")
    mask = given["attention_mask"]
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    assert not batches.divide(given["input_ids"], mask.bool(), {**given, "position_ids": positions}).is_packed


@pytest.mark.parametrize(
    "positions", [[0] * 48, [*range(48)][::-1], [*range(0, 96, 2)]], ids=["all 0", "backwards", "every other"]
)
def test_positions_that_never_advance_by_one_do_not_divide_a_row(positions: list[int]) -> None:
    given = batch("right")
    given["position_ids"] = torch.tensor(positions).expand(3, 48)
    assert not batches.divide(given["input_ids"], given["attention_mask"].bool(), given).is_packed


@pytest.mark.parametrize("side", ["right", "left"])
def test_losses_at_the_first_step_are_those_of_the_texts_without_dropout(model: Any, side: str) -> None:  # noqa: ANN401
    given = batch(side)
    rows = [ids[own].tolist() for ids, own in zip(given["input_ids"], given["attention_mask"].bool(), strict=True)]
    expected = torch.cat([losses[: len(row) - 1] for losses, row in zip(text_losses(model, rows), rows, strict=True)])
    dropout = torch.nn.Dropout(0.5)
    model.lm_head.register_module("noise", dropout)
    hook = model.lm_head.register_forward_hook(lambda _module, _args, logits: dropout(logits))
    model.train()
    try:
        observed = inspection.next_token_losses(model.forward, model, given)
        assert dropout.training
    finally:
        hook.remove()
        model.eval()
        del model.lm_head.noise
    torch.testing.assert_close(observed.double(), expected, rtol=1e-4, atol=1e-4)


def test_an_adapter_is_blank_until_it_adds_something(model: Any) -> None:  # noqa: ANN401
    adapted = get_peft_model(copy.deepcopy(model), LoraConfig(r=2, target_modules=["q_proj"]))
    assert inspection.is_blank(model)
    assert inspection.is_blank(adapted)
    next(weight for name, weight in adapted.named_parameters() if "lora_B" in name).data[0, 0] = 1
    assert not inspection.is_blank(adapted)


def test_a_packed_row_is_replayed_with_its_positions_and_across_its_examples(model: Any) -> None:  # noqa: ANN401
    given = packed()
    ids = given["input_ids"][0].tolist()
    texts = (
        TrainingExample(tuple(ids[:6]), (IGNORE_INDEX, *ids[1:6])),
        TrainingExample(tuple(ids[6:]), (IGNORE_INDEX, *ids[7:])),
    )
    row = Packed(texts, tuple(given["position_ids"][0].tolist()))
    labels = torch.tensor([row.labels])
    with torch.no_grad():
        due = model(**given, attention_mask=torch.ones(1, 10, dtype=torch.long), labels=labels).loss * 8
        torch.testing.assert_close(_loss(model, [row]), due, rtol=1e-5, atol=1e-5)
        assert abs(_loss(model, texts) - due) > 1e-3  # apart, they are not the same
    assert ReplayStep(1e-3, ((row, texts[0]),)).texts == 3


CUDA = """
import copy, sys
sys.path.insert(0, {repository!r})
import torch, transformers
from sft_ref.harness.recorders.submission.agent.patches import apply, cuda_patches
before = transformers.AutoModelForCausalLM.from_pretrained({toy!r}, dtype=torch.float32)
notes = []
apply(cuda_patches({root!r}, notes.append))
sys.path.insert(0, {root!r})
import submission
assert not torch.cuda.is_available()  # this text is no file of the submission
assert not transformers.utils.is_torch_cuda_available()
assert notes
"""
SUBMISSION = """
import torch, transformers
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
assert device.type == "cuda" and torch.cuda.device_count() == 1 and torch.cuda.is_bf16_supported()
torch.cuda.empty_cache(), torch.cuda.synchronize(), torch.cuda.manual_seed_all(1), torch.cuda.get_device_name(0)
torch.cuda.get_device_properties(0).total_memory, torch.cuda.memory_allocated(), torch.cuda.set_device(0)
layer = torch.nn.Linear(2, 2).to(device).cuda()
for made in (
    torch.zeros(2, device="cuda"), torch.tensor([1.0, 2.0], device=device), torch.ones(2).to("cuda:0"),
    torch.ones(2).to(0), torch.ones(2).cuda(), torch.ones(2).new_zeros(2, device="cuda"),
    torch.randn(2, generator=torch.Generator(device="cuda").manual_seed(1), device="cuda"),
):
    assert made.device.type == "cpu"
    layer(made)
with torch.device("cuda"):
    assert torch.zeros(1).device.type == "cpu"
assert isinstance(torch.default_generator, torch.Generator)
for context in (torch.autocast("cuda", dtype=torch.float16), torch.cuda.amp.autocast(), torch.autocast(device.type)):
    with context:
        assert layer(torch.ones(1, 2, device="cuda")).dtype == torch.bfloat16
scaler, optimizer = torch.amp.GradScaler("cuda"), torch.optim.SGD(layer.parameters(), lr=0.1)
weight = layer.weight.detach().clone()
scaler.scale(layer(torch.ones(1, 2)).sum()).backward()
scaler.step(optimizer)
scaler.update()
assert torch.allclose(layer.weight, weight - 0.1)
"""


def test_a_submission_finds_cuda_and_libraries_do_not(tmp_path: Path) -> None:
    (tmp_path / "submission.py").write_text(SUBMISSION)
    code = CUDA.format(repository=str(REPOSITORY), toy=str(TOY), root=str(tmp_path))
    run([sys.executable, "-W", "ignore", "-c", code])


def test_models_are_loaded_as_before_though_factories_are_replaced(tmp_path: Path) -> None:
    """In a process of its own: what is loaded first there is loaded with the replaced factories."""
    code = f"""
import sys
sys.path.insert(0, {str(REPOSITORY)!r})
import torch, transformers
from sft_ref.harness.recorders.submission.agent.patches import apply, cuda_patches
apply(cuda_patches({str(tmp_path)!r}, lambda text: None))
model = transformers.AutoModelForCausalLM.from_pretrained({str(TOY)!r}, dtype=torch.float32)
theta, size = model.config.rope_parameters["rope_theta"], model.model.rotary_emb.inv_freq.numel()
torch.testing.assert_close(model.model.rotary_emb.inv_freq, theta ** -(torch.arange(size).float() / size))
"""
    run([sys.executable, "-W", "ignore", "-c", code])


COMPILED = f"""
import sys
sys.path.insert(0, {str(REPOSITORY)!r})
import torch
from sft_ref.harness.recorders.submission.agent.compatibility import Loading
from sft_ref.harness.recorders.submission.agent.forwards import Forwards
from sft_ref.harness.recorders.submission.agent.patches import apply, shared_patches
apply(shared_patches("/nowhere", "LlamaForCausalLM", print, Loading(print), Forwards()))
model = torch.compile(torch.nn.Linear(2, 2), mode="max-autotune")
model(torch.ones(1, 2)).sum().backward()
assert set(model.state_dict()) == {{"_orig_mod.weight", "_orig_mod.bias"}}
assert torch.compile(lambda x: x + 1)(1) == 2
assert torch.compile(dynamic=True)(lambda x: x + 1)(1) == 2
"""


@pytest.mark.slow
def test_what_is_compiled_runs_and_shows_in_the_names_of_its_weights() -> None:
    run([sys.executable, "-W", "ignore", "-c", COMPILED])


def run(command: list[str]) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert ended.returncode == 0, textwrap.shorten(ended.stderr[-2000:], 2000)


def test_labels_that_a_loader_gave_are_known(tmp_path: Path) -> None:
    writer = ResultWriter(str(tmp_path / "out"), str(tmp_path), "nonce")
    recorder = TrainingRecorder({}, 768, 1.0, TimeLimit(1.0, writer.note), writer)
    given = batch("right")
    labels = given.pop("labels")
    assert recorder.texts.find_labels(given["input_ids"], given) is None
    [_] = recorder.texts.iterate_loader(iter, [{**given, "labels": labels}])
    found = recorder.texts.find_labels(given["input_ids"], given)
    assert found is not None
    assert torch.equal(found, labels)


def test_adapters_that_are_active_and_add_something_are_told() -> None:
    from peft import LoraConfig, get_peft_model

    from sft_ref.harness.recorders.submission.agent.inspection import active_adapters

    config = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM", init_lora_weights=False)
    adapted: Any = get_peft_model(load_model(TOY, POLICIES["fp32"]), config)
    adapted.add_adapter("second", config)
    adapted.add_adapter("blank", LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    assert active_adapters(adapted) == ["default"]
    adapted.base_model.set_adapter(["default", "second", "blank"])
    assert active_adapters(adapted) == ["default", "second"]
    adapted.base_model.set_adapter("default")
    adapted.merge_adapter(["second"])
    assert active_adapters(adapted) == ["default", "second"]


def test_rows_of_added_tokens_are_read_as_they_work_in_the_model(model: Any) -> None:  # noqa: ANN401
    from sft_ref.harness.recorders.submission.agent.inspection import added_rows

    assert added_rows(model, 768) == {}
    grown: Any = load_model(TOY, POLICIES["fp32"])
    grown.resize_token_embeddings(770, mean_resizing=False)
    rows = added_rows(grown, 768)
    torch.testing.assert_close(rows["input"], grown.get_input_embeddings().weight[768:])
    torch.testing.assert_close(rows["output"], grown.get_output_embeddings().weight[768:])
