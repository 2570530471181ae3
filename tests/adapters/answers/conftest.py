"""Tiny adapters, each trained by peft once, and the rows that each answers rightly."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from sft_ref.harness.checks.adapter import base_identity, scaling
from sft_ref.harness.checks.adapter import generate as generation
from sft_ref.harness.checks.adapter import prompt as prompts
from sft_ref.harness.checks.runner import run
from sft_ref.harness.core.check import Outcome, Result, checks_in
from sft_ref.harness.evidence import storage
from sft_ref.harness.evidence.adapter import AdapterEvidence, AdapterFiles
from sft_ref.harness.evidence.answers import AnswersEvidence
from sft_ref.harness.recorders.folder.answers import examine, read_rows
from sft_ref.harness.recorders.folder.answers.evaluator import ModelEvaluator
from sft_ref.harness.recorders.folder.answers.wording import as_given
from sft_ref.io.rows.forms import Row
from sft_ref.reference import tokens
from sft_ref.reference.bases.find import find_base
from sft_ref.reference.data import split_rows

CHAT = (
    "<|im_start|>system\nunits<|im_end|>\n<|im_start|>user\n{question}<|im_end|>\n"
    "<|im_start|>assistant\n{answer}<|im_end|>\n"
)
TAGGED = "{question} <answer>{answer}</answer>"
END = "<|im_end|>"
ROWS = 24


@dataclass(frozen=True)
class Task:
    """An adapter on disk, how its texts are written, and rows that it answers rightly."""

    folder: Path
    prompt: str
    data: Path


def base_model() -> Any:
    return AutoModelForCausalLM.from_pretrained(find_base("toy"), dtype=torch.float32)


def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(find_base("toy"))


def load(folder: Path, base: Any = None, **config: Any) -> Any:
    """An adapter over a base, in fp32, as peft loads it; keywords are edits of its configuration."""
    from peft import PeftConfig

    changed = PeftConfig.from_pretrained(str(folder))
    for name, value in config.items():
        setattr(changed, name, value)
    return PeftModel.from_pretrained(base or base_model(), str(folder), config=changed).eval()


def train(prompt: str, rows: Sequence[tuple[str, str]], steps: int, **config: Any) -> Any:
    """An adapter of rank 8, trained on the answers of rows."""
    torch.manual_seed(0)
    rng, tok = random.Random(0), tokenizer()
    settings = {"r": 8, "lora_alpha": 32, "target_modules": "all-linear", "task_type": "CAUSAL_LM", **config}
    model = get_peft_model(base_model(), LoraConfig(**settings))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    made = as_given(prompt, [Row((("user", q),), a, None) for q, a in rows], tok)
    asker, examples = ModelEvaluator(model, tok), []
    for text in made.texts:
        row = asker.encode(text)
        end = () if row.target[-1] == tok.eos_token_id else (tok.eos_token_id,)
        examples.append(tokens.Example((*row.prompt, *row.target, *end), len(row.target) + len(end)))
    model.train()
    for step in range(steps):
        batch = tokens.collate(rng.sample(examples, 16), tok.pad_token_id)
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * (1 - step / steps)
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
    return model.eval()


def answered(model: Any, prompt: str, rows: Sequence[tuple[str, str]]) -> list[int]:
    """Places of the rows that a model answers rightly."""
    tok = tokenizer()
    asked = [Row((("user", q),), a, None) for q, a in rows]
    texts = as_given(prompt, asked, tok).texts
    return [n for n, answer in enumerate(ModelEvaluator(model, tok).answers(asked, texts)) if answer.right]


def write(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Task:
    """Text answers, in the chat template with a system prompt, rows as messages."""
    folder = tmp_path_factory.mktemp("chat")
    rows = [(q, f"That is {value!r}.") for q, value in split_rows("train")[:128]]
    model = train(CHAT, rows, 80)
    model.save_pretrained(folder / "adapter")
    right = answered(model, CHAT, rows)[:ROWS]
    messages = [
        {
            "messages": [
                {"role": "system", "content": "units"},
                {"role": "user", "content": rows[n][0]},
                {"role": "assistant", "content": rows[n][1]},
            ]
        }
        for n in right
    ]
    return Task(folder / "adapter", CHAT, write(folder / "rows.jsonl", messages))


@pytest.fixture(scope="session")
def number(tmp_path_factory: pytest.TempPathFactory) -> Task:
    """Numbers in tags, rows as pairs."""
    folder = tmp_path_factory.mktemp("number")
    rows = split_rows("train")[:128]
    written = [(q, repr(value)) for q, value in rows]
    model = train(TAGGED, written, 40)
    model.save_pretrained(folder / "adapter")
    right = answered(model, TAGGED, written)[:ROWS]
    return Task(folder / "adapter", TAGGED, write(folder / "rows.jsonl", [rows[n] for n in right]))


@pytest.fixture(scope="session")
def tagged_text(tmp_path_factory: pytest.TempPathFactory) -> Task:
    """Text answers behind whole prompts, rows as prompt and completion."""
    folder = tmp_path_factory.mktemp("tagged")
    rows = [(f"{q} <answer>", f"{value!r}</answer>") for q, value in split_rows("train")[:128]]
    model = train("{question}{answer}", rows, 40)
    model.save_pretrained(folder / "adapter")
    right = answered(model, "{question}{answer}", rows)[:ROWS]
    pairs = [{"prompt": rows[n][0], "completion": rows[n][1]} for n in right]
    return Task(folder / "adapter", "{question}{answer}", write(folder / "rows.jsonl", pairs))


Examine = Callable[..., tuple[AnswersEvidence, dict[str, Result]]]


CHECKS = checks_in(base_identity, scaling, prompts, generation)


def results_of(found: AnswersEvidence, path: Path) -> dict[str, Result]:
    """The result of each check of answers, which is the same once the evidence was saved and loaded."""
    evidence = AdapterEvidence(AdapterFiles(path.parent), answers=found)
    storage.save(evidence, path)
    results, again = (list(run(CHECKS, each)) for each in (evidence, storage.load(path, AdapterEvidence)))
    assert [replace(each, seconds=0.0) for each in results] == [replace(each, seconds=0.0) for each in again]
    assert not [each.observed for each in results if each.outcome is Outcome.ERROR]
    return {each.check.id: each for each in results}


@pytest.fixture
def examined(tmp_path: Path) -> Examine:
    """Examines a model, and gives the evidence and the result of each check."""

    def run_checks(
        model: Any, *, prompt: str | None, data: Path | None, template: bool = True
    ) -> tuple[AnswersEvidence, dict[str, Result]]:
        tok = tokenizer()
        rows = read_rows(data) if data else ()
        found = examine(model, tok, prompt=prompt, rows=rows, chat_template=tok.chat_template if template else None)
        return found, results_of(found, tmp_path / "evidence.safetensors")

    return run_checks


def at_other_places(model: Any) -> Any:
    """The same function of tokens, with the hidden units in another order: a base that knows the same elsewhere."""
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(model.config.hidden_size, generator=generator)
    signs = (torch.randint(0, 2, (len(order),), generator=generator) * 2 - 1).float()
    inner = torch.randperm(model.config.intermediate_size, generator=generator)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" in name:
                weight.copy_(weight[order])
            elif "embed" in name or "lm_head" in name:
                weight.copy_(weight[:, order] * signs)
            elif "o_proj" in name:
                weight.copy_(weight[order] * signs[:, None])
            elif "down_proj" in name:
                weight.copy_(weight[order][:, inner] * signs[:, None])
            else:
                moved = weight[:, order] * signs
                weight.copy_(moved if "self_attn" in name else moved[inner])
    return model


def with_noise(model: Any, share: float) -> Any:
    """A relative of a base: its matrices with noise of this share of their own size."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                weight.add_(torch.randn(weight.shape, generator=generator) * weight.std() * share)
    return model
