"""The harness's instruments measure what they say: losses, sizes, tolerances, effective additions."""

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file

from sft_ref import BaseLLM
from sft_ref.harness.core import tolerance
from sft_ref.harness.core.implementation import Batch, TrainingResult
from sft_ref.harness.core.paired import compare, is_worse
from sft_ref.harness.instruments import rotary, sizes
from sft_ref.harness.instruments.deltas import (
    effective_delta,
    effective_weight,
    expected_deltas,
    linears,
    merged,
    why_not_mergeable,
)
from sft_ref.harness.instruments.losses import row_losses
from sft_ref.harness.instruments.token_rows import extend_vocabulary
from sft_ref.io.lora_config import CONFIG
from sft_ref.reference.bases.find import TOY
from sft_ref.reference.loss import batch_loss
from sft_ref.reference.models import load_model
from sft_ref.reference.precision import POLICIES
from sft_ref.reference.tokens import IGNORE_INDEX, collate, tokenize_example


def test_a_rows_loss_is_that_of_training(blank_toy: BaseLLM) -> None:
    example = tokenize_example(blank_toy.tokenizer, "Convert 3 kg to g.", 3000.0)
    batch = collate([example], blank_toy.tokenizer.pad_token_id)
    found = row_losses(blank_toy.model, Batch(batch["input_ids"], batch["attention_mask"], batch["labels"]))
    with torch.no_grad():
        due = batch_loss(blank_toy.model, batch)
    assert found.item() == pytest.approx(due.item(), rel=1e-4)
    assert (batch["labels"] == IGNORE_INDEX).any()


def test_worse_is_more_than_chance_and_more_than_rounding() -> None:
    noise = torch.randn(64, generator=torch.Generator().manual_seed(0)).double()
    base = torch.ones(64).double()
    assert is_worse(base + 0.5 + 0.1 * noise, base)
    assert not is_worse(base + 0.5 + 10 * noise, base)  # chance
    assert not is_worse(base + 0.05, base)  # rounding
    assert not is_worse(base, base)
    assert is_worse(base * math.nan, base)
    assert compare(base, base).t == 0


def test_an_effective_weight_is_the_matrix_without_the_bias() -> None:
    linear = torch.nn.Linear(5, 3)
    torch.testing.assert_close(effective_weight(linear), linear.weight.detach(), atol=1e-6, rtol=0)


def test_an_adapter_adds_to_the_linears_that_it_adapts_and_to_no_other(blank_toy: BaseLLM, toy_llm: BaseLLM) -> None:
    pairs = linears(blank_toy.model, toy_llm.model)
    added = {name: effective_delta(linear, module)[0].norm() for name, linear, module in pairs}
    assert added.pop("lm_head") < 1e-3
    assert min(added.values()) > 1e-3


def test_an_unclear_choice_may_turn_and_a_clear_one_may_not() -> None:
    one = torch.tensor([[3.0, 2.9], [3.0, 1.0]])
    assert tolerance.differing_choices(one, one.flip(1), 0.1).tolist() == [False, True]


def test_logits_are_apart_by_a_share_of_the_spread_that_is_given() -> None:
    one, other = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0, 2.0], [3.0, 5.0]])
    assert tolerance.apart(one, other) == pytest.approx(0.5 / other.std())
    assert tolerance.apart(one, other, 2.0) == pytest.approx(0.25)
    assert tolerance.apart_by_row(one, other, 2.0).tolist() == pytest.approx([0, 0.5**0.5 / 2])


@pytest.mark.filterwarnings("ignore::UserWarning")  # peft objects to such biases when it is made and when it saves
@pytest.mark.parametrize("has_bias", [False, True])
def test_an_adapter_that_peft_cannot_merge_is_known_by_peft_s_own_words(
    has_bias: bool, blank_toy: BaseLLM, tmp_path: Path
) -> None:
    config = LoraConfig(r=2, target_modules=["q_proj"], lora_bias=has_bias)
    get_peft_model(copy.deepcopy(blank_toy.model), config).save_pretrained(str(tmp_path))
    assert ("no bias" in why_not_mergeable(tmp_path, blank_toy.model)) == has_bias


def test_known_models_have_their_published_sizes() -> None:
    assert sizes.base_shapes("smollm2-135m")[2] == 134_515_008
    assert sizes.base_shapes("HuggingFaceTB/SmolLM2-360M-Instruct")[2] == 361_821_120


def test_the_magnitudes_of_dora_are_projected_as_rows(tmp_path: Path) -> None:
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector"
    save_file({name: torch.zeros(128)}, tmp_path / "adapter_model.safetensors")
    assert sizes.project(tmp_path, "toy", "smollm2-135m").adapter < 30 * 576 * 4 + 1


def test_rotary_frequencies_are_the_models_own(blank_toy: BaseLLM) -> None:
    ((_, module),) = rotary.embeddings(blank_toy.model)
    torch.testing.assert_close(module.inv_freq, rotary.frequencies(blank_toy.model.config), rtol=1e-6, atol=0)


def test_a_base_gets_the_rows_that_a_target_adds_to_its_embedding() -> None:
    base: Any = load_model(TOY, POLICIES["fp32"])
    known = base.get_input_embeddings().weight.detach().clone()
    added = torch.cat([known + 1, torch.full((2, known.shape[1]), 7.0)])
    extend_vocabulary(base, {"base_model.model.model.embed_tokens.weight": added})
    embedding = base.get_input_embeddings().weight
    assert torch.equal(embedding[: len(known)], known)  # what it has stays as it is
    assert torch.equal(embedding[len(known) :], added[len(known) :])
    assert base.get_output_embeddings().weight is embedding
    assert base.config.vocab_size == len(added)


def test_trained_rows_of_a_tied_embedding_are_rows_of_the_head(tmp_path: Path) -> None:
    base: Any = load_model(TOY, POLICIES["fp32"])
    weight = base.get_input_embeddings().weight
    name = "base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta"
    (tmp_path / CONFIG).write_text(json.dumps({"trainable_token_indices": {"embed_tokens": [3, 5]}}))
    trained = TrainingResult(tmp_path, {name: weight[[3, 5]].detach() + 1}, (), scalings={"q_proj": 1.0})
    deltas = expected_deltas(trained, tmp_path, base)
    assert deltas["lm_head"].nonzero()[:, 0].unique().tolist() == [3, 5]
    found: Any = merged(base, trained, deltas, tmp_path)
    due = weight.detach().clone()
    due[[3, 5]] += 1
    assert torch.allclose(found.get_input_embeddings().weight, due)
    assert torch.allclose(found.get_output_embeddings().weight, due)
    assert torch.equal(base.get_input_embeddings().weight, weight)
