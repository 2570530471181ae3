"""Training: our `fit` against TRL's SFTTrainer, with the same initial adapter, on the same tokens in the same order."""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import transformers
from contest import Entry, Limits

import sft_ref
from sft_ref import BaseLLM
from sft_ref.reference import adapter, tokens, training
from sft_ref.reference.precision import find_policy

SETTINGS = sft_ref.Settings()


def entries(base: str, steps: int, work: Path, limit: Limits) -> list[Entry]:
    """Returns ours and TRL's, in fp32 and under bf16 autocast; an item is an example."""
    found = []
    for policy in ("fp32", "bf16-mixed"):
        limits = _limits(base, policy, limit)
        for who, prepare in (
            ("sft_ref", _ours(base, policy, steps, work)),
            ("TRL SFTTrainer, its defaults", _trl(base, policy, steps, work, checkpointing=True)),
            ("TRL SFTTrainer, nothing recomputed", _trl(base, policy, steps, work, checkpointing=False)),
        ):
            found.append(
                Entry(
                    f"training, a step of {SETTINGS.batch_size} examples", policy, who, prepare, SETTINGS.batch_size,
                    _compare, who == "sft_ref", *limits,
                )
            )  # fmt: skip
    return found


def _examples(llm: BaseLLM) -> list[tokens.Example]:
    return [tokens.tokenize_example(llm.tokenizer, *row) for row in sft_ref.split_rows("train")]


def _blank(base: str, policy: str) -> tuple[BaseLLM, Any]:
    llm = BaseLLM(base, policy=find_policy(policy))
    transformers.set_seed(SETTINGS.seed)
    return llm, adapter.add_adapter(llm.model, llm.policy, rank=SETTINGS.rank, alpha=SETTINGS.alpha)


def _limits(base: str, policy: str, limit: Limits) -> tuple[float, float]:
    """Returns the seconds of a step's matrix products, and of reading the weights in the forward and backward pass.

    Forward pass and gradients of activations take 4 FLOP per weight and token, for the head per supervised token only.
    """
    flops, size = (limit.flops["float32"], 4) if policy == "fp32" else (limit.flops["bfloat16"], 2)
    llm = BaseLLM(base)
    head = llm.model.get_output_embeddings().weight.numel()
    body = sum(p.numel() for name, p in llm.model.named_parameters() if p.ndim == 2 and "embed" not in name)
    examples = _examples(llm)
    length, due = (statistics.mean(v) for v in ([len(e.input_ids) for e in examples], [e.supervised for e in examples]))
    products = 4 * (body * length + head * due) * SETTINGS.batch_size / flops
    return float(products), float(2 * (body + head) * size / limit.bandwidth)


def _ours(base: str, policy: str, steps: int, work: Path) -> Callable[[], Callable[[], tuple[float, object]]]:
    def prepare() -> Callable[[], tuple[float, object]]:
        def run() -> tuple[float, object]:
            llm, model = _blank(base, policy)
            ends: list[float] = []
            with tempfile.TemporaryDirectory(dir=work.parent) as folder:
                history = training.fit(
                    model,
                    _examples(llm),
                    pad_token_id=llm.tokenizer.pad_token_id,
                    policy=llm.policy,
                    settings=sft_ref.Settings(steps=steps),
                    checkpoints=Path(folder),
                    report=lambda _step: ends.append(time.perf_counter()),
                )
            return _pace(ends), [step.loss for step in history]

        return run

    return prepare


def _pace(ends: list[float]) -> float:
    """Returns the median seconds per step, without the first step."""
    return statistics.median(b - a for a, b in itertools.pairwise(ends))


def _trl(
    base: str, policy: str, steps: int, work: Path, *, checkpointing: bool
) -> Callable[[], Callable[[], tuple[float, object]]]:
    def prepare() -> Callable[[], tuple[float, object]]:
        from datasets import Dataset, disable_progress_bars
        from trl import SFTConfig, SFTTrainer

        disable_progress_bars()

        class Clock(transformers.TrainerCallback):
            def __init__(self) -> None:
                self.ends: list[float] = []

            def on_log(self, *_: object, **__: object) -> None:
                self.ends.append(time.perf_counter())

        def run() -> tuple[float, object]:
            llm, model = _blank(base, policy)
            model.set_attn_implementation("sdpa")  # the default of from_pretrained
            examples = _examples(llm)
            data = Dataset.from_dict(
                {
                    "input_ids": [list(e.input_ids) for e in examples],
                    "completion_mask": [[0] * (len(e.input_ids) - e.supervised) + [1] * e.supervised for e in examples],
                }
            )
            clock = Clock()
            with tempfile.TemporaryDirectory(dir=work.parent) as folder:
                trainer = SFTTrainer(
                    model=model,
                    args=SFTConfig(
                        output_dir=folder,
                        max_steps=steps,
                        per_device_train_batch_size=SETTINGS.batch_size,
                        learning_rate=SETTINGS.learning_rate,
                        warmup_steps=steps // 10,
                        seed=SETTINGS.seed,
                        bf16=policy == "bf16-mixed",
                        use_cpu=llm.device.type == "cpu",
                        gradient_checkpointing=checkpointing,
                        completion_only_loss=True,
                        logging_steps=1,
                        save_strategy="no",
                        report_to=[],
                        disable_tqdm=True,
                        dataloader_pin_memory=False,
                    ),
                    train_dataset=data,
                    processing_class=llm.tokenizer,
                    callbacks=[clock],
                )
                for callback in [
                    c for c in trainer.callback_handler.callbacks if type(c).__name__ == "PrinterCallback"
                ]:
                    trainer.remove_callback(callback)
                trainer.train()
            return _pace(clock.ends[:steps]), [e["loss"] for e in trainer.state.log_history if "loss" in e]

        return run

    return prepare


def _compare(ours: Any, theirs: Any) -> str:
    """Describes the largest difference of the losses over all steps."""
    return f"losses differ by {max(abs(a - b) for a, b in zip(ours, theirs, strict=True)):.4f} nat at most"
