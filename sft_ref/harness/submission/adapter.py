"""A bare adapter, as TRL, axolotl or peft leave it: the checks that need no code."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from sft_ref import models, tokens
from sft_ref.adapter import CONFIG, read_tensors
from sft_ref.data import Row
from sft_ref.errors import AdapterError, SubmissionError
from sft_ref.harness.checks import CHECKS
from sft_ref.harness.contract import grade_implementation
from sft_ref.harness.findings import Unavailable
from sft_ref.harness.implementation import Answerer, Batch, Trained
from sft_ref.harness.reference import Reference
from sft_ref.harness.registry import choose_checks
from sft_ref.harness.runner import plan
from sft_ref.harness.verdict import Verdict
from sft_ref.settings import Settings

from .convention import to_number

_STAGES = ("artifact", "load", "generate")


class SavedAdapter(Reference):
    """An adapter whose training is not known, loaded and asked by the reference.

    Args:
        folder: its own; not to be changed.
        base: name of its base.
        wording: how its texts are written, with ``{question}`` and ``{answer}`` in it.
    """

    claims_contract = False

    def __init__(self, folder: Path, base: str, wording: str | None) -> None:
        super().__init__(base=base, name="adapter")
        self.folder, self.wording = folder, wording
        self.prompt, _, self.closing = (wording or "{question}").partition("{answer}")

    def training_batch(self, rows: Sequence[Row]) -> Batch:
        """Texts as they are said to be written, supervised behind the prompt."""
        if self.wording is None:
            raise Unavailable("how its texts are written is not known; give --prompt")
        tokenizer = models.load_tokenizer(models.find_base(self.base))
        examples = []
        for question, value in rows:
            ids = tokenizer(self.prompt.format(question=question))["input_ids"]
            target = tokenizer(f"{value!r}{self.closing}", add_special_tokens=False)["input_ids"]
            examples.append(tokens.Example((*ids, *target, tokenizer.eos_token_id), len(target) + 1))
        batch = tokens.collate(examples, tokenizer.pad_token_id)
        return Batch(batch["input_ids"], batch["attention_mask"], batch["labels"])

    def train(self, folder: Path, rows: Sequence[Row], settings: Settings) -> Trained:
        """Nothing is trained: what lies in the folder is what training left."""
        shutil.copytree(self.folder, folder)
        return Trained(folder, adapter=read_tensors(folder), losses=())

    def load(self, folder: Path) -> Answerer:
        """The reference's, asked with the adapter's own prompt."""
        answerer = super().load(folder)
        answerer.format_prompt = lambda question: self.prompt.format(question=question)  # type: ignore[method-assign]
        answerer.parse_answer = self._parse  # type: ignore[method-assign]
        return answerer

    def _parse(self, text: str) -> float:
        closing = self.closing.strip()
        return to_number(text.partition(closing)[0] if closing else text)


def grade_adapter(
    folder: Path,
    called: str,
    *,
    base: str | None,
    prompt: str | None,
    only: Sequence[str] = (),
    report: Callable[[str], None] = lambda text: None,
) -> Verdict:
    """The verdict on an adapter folder.

    Args:
        folder: with adapter_config.json and its tensors.
        called: the name by which it was asked for.
        base: of the adapter; None takes the one that it names.
        prompt: how its texts are written, with ``{question}`` and ``{answer}`` in it; None where that is not known.
        only: ids of checks, and none else.
        report: told the id and outcome of each check as it ends.

    Raises:
        SubmissionError: the prompt lacks question or answer, or the configuration names no base.
    """
    if prompt is not None and not 0 <= prompt.find("{question}") < prompt.find("{answer}"):
        raise SubmissionError(
            f"--prompt {prompt!r}: write {{question}} and then {{answer}} where they stand in its texts"
        )
    with tempfile.TemporaryDirectory() as name:
        copy = Path(shutil.copytree(folder, Path(name) / "adapter"))
        base = _name_base(copy, base)
        implementation = SavedAdapter(copy, base, prompt)
        choose_checks(only)
        planned = plan([each for each in CHECKS if each.stage in _STAGES], claims_contract=False, only=only)
        verdict = grade_implementation(implementation, called, planned, _no_yardstick, report=report)
    said = f"a bare adapter over {base}: how it was trained, and how its answers are read, is not known"
    return replace(verdict, notes=(*verdict.notes, said))


def _no_yardstick() -> None:
    """There is nothing to compare a training with."""


def _name_base(folder: Path, base: str | None) -> str:
    """Writes the base into the configuration, where another is asked for."""
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        named = base or config["base_model_name_or_path"]
    except (ValueError, KeyError, TypeError) as error:
        raise AdapterError(f"{path}: cannot be read, or names no base ({error}); give --base") from error
    if not named:
        raise SubmissionError(f"{folder.name}: its configuration names no base; give --base")
    path.write_text(json.dumps({**config, "base_model_name_or_path": named}), encoding="utf-8")
    return str(named)
