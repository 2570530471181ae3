"""Runs a submission's processes and exposes their results: its training, its saved files, and its answers."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from sft_ref.harness.core.training_examples import Text, TrainingExample
from sft_ref.harness.evidence.evidence import GOOD
from sft_ref.harness.instruments.answering import count, read_number, right
from sft_ref.harness.instruments.convention import Convention, find_convention, find_prompt, read_texts
from sft_ref.harness.instruments.encoding import decode, encode
from sft_ref.harness.instruments.sizes import KNOWN
from sft_ref.harness.recorders.submission.agent.inspection import choose_rows
from sft_ref.io import plain_files
from sft_ref.io.base_config import CONFIG as BASE_CONFIG
from sft_ref.io.lora_config import CONFIG, PICKLE, WEIGHTS, read_table
from sft_ref.io.reading import UnreadableError
from sft_ref.reference.data import Row
from sft_ref.reference.guards.names import plain, without_peft
from sft_ref.reference.models import load_tokenizer

from .replay import BETAS, Packed, ReplayStep
from .scripts import ScriptedCall, ScriptLine, ScriptWriter
from .workplace import AgentResult, Workplace

_SECONDS = 25.0
"""Time for the steps of one training; a training whose steps cannot be planned gets twice that."""
_SCALES = ("r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern")


class Captured:
    """Data that a submission's processes passed to the libraries. Call `train` first, then `ask_own`.

    Args:
        workplace: workplace with the data installed; its folder contains the submission.
        rows: training rows of the submission.
        unseen: rows in its validation data.
        questions: fresh questions with answers, stored nowhere on disk.
        seed: seed for invented questions and numbers.

    Attributes:
        training: result of the training process.
        snapshot: copy of the folder as training left it: plain files, out of the submission's reach.
        left_out: files that are not in the snapshot, one line each.
        asked: result of loading and asking the saved adapter.
        left: fingerprints of the saved adapters after asking.
    """

    training: AgentResult
    snapshot: Path
    left_out: tuple[str, ...]
    asked: AgentResult
    left: dict[Path, str]

    def __init__(
        self, workplace: Workplace, rows: Sequence[Row], unseen: Sequence[Row], questions: Sequence[Row], seed: int
    ) -> None:
        self.workplace, self.rows, self.unseen, self.questions = workplace, rows, unseen, questions
        self.seed = seed
        self.tokenizer = load_tokenizer(workplace.base)

    def train(self) -> None:
        """Runs the training, and copies the folder that it left."""
        self.training = self.workplace.run("train", "train", seconds=_SECONDS)
        self.snapshot = self.workplace.folder.parent / "after_training"
        left_out = plain_files.copy_folder(
            self.workplace.folder, self._parts(self.workplace.layout.root), self.snapshot
        )
        self.left_out = left_out.lines()

    def ask_own(self) -> None:
        """Loads and asks the adapter of the submission's own training."""
        self.asked = self.ask("ask")
        self.left = {place: self.fingerprint(self.workplace.folder, self._parts(place)) for place in self.saved}

    @property
    def training_log(self) -> Mapping[str, Any]:
        """The log of the training process."""
        return self.training["training_log"]

    @functools.cached_property
    def examples(self) -> list[TrainingExample]:
        """Every text that reached the model in training, once each."""
        return [TrainingExample(tuple(ids), tuple(labels)) for ids, labels in self.training_log.get("examples", ())]

    @functools.cached_property
    def foreign(self) -> list[TrainingExample]:
        """Training texts with tokens that the base model's tokenizer does not have."""
        return [row for row in self.examples if max(row.ids, default=0) >= len(self.tokenizer)]

    @functools.cached_property
    def readable(self) -> list[TrainingExample]:
        """Training texts without such tokens."""
        foreign = set(self.foreign)
        return [row for row in self.examples if row not in foreign]

    @functools.cached_property
    def probed(self) -> list[TrainingExample]:
        """Readable training texts whose likelihood is compared."""
        vocabulary = json.loads((self.workplace.base / BASE_CONFIG).read_text(encoding="utf-8"))["vocab_size"]
        return self.readable[: len(choose_rows([row.ids for row in self.readable], vocabulary))]

    @functools.cached_property
    def texts(self) -> list[Text]:
        """Training texts that contain a question of the data."""
        return read_texts(self.examples, [*self.rows, *self.unseen], self._reader)

    @functools.cached_property
    def _reader(self) -> Any:  # noqa: ANN401
        """The base's tokenizer with the tokens that training added; without them, adjacent words run together."""
        tokenizer = load_tokenizer(self.workplace.base)
        added = {int(number): str(text) for number, text in self.training["pretrained"].get("added_tokens", {}).items()}
        while (text := added.get(len(tokenizer))) and tokenizer.add_tokens([text]):
            pass
        return tokenizer

    @functools.cached_property
    def convention(self) -> Convention | None:
        """Format of questions and answers in training texts; None if these have tokens that the base does not know."""
        return None if self.foreign else find_convention(self.texts)

    @property
    def closing(self) -> str:
        """Text that ends an answer in the training texts, without special tokens."""
        return self.convention.after.replace(str(self.tokenizer.eos_token), "").strip() if self.convention else ""

    @functools.cached_property
    def steps(self) -> list[ReplayStep]:
        """Optimizer steps of the training."""
        steps, done = [], 0
        passes = self.training_log.get("forward_passes", ())
        for rate, until, betas in self.training_log.get("optimizer_steps", ()):
            batches = tuple(tuple(map(self._row, filter(self._is_recorded, rows))) for rows, _ in passes[done:until])
            done = until
            batches = tuple(batch for batch in batches if batch)
            steps.append(ReplayStep(float(rate), batches, tuple(map(float, betas or BETAS))[:2]))
        return steps

    def _is_recorded(self, row: int | Mapping[str, Any]) -> bool:
        """Returns whether the agent recorded all texts of a row."""
        return all(i < len(self.examples) for i in ([row] if isinstance(row, int) else row["examples"]))

    def _row(self, row: int | Mapping[str, Any]) -> TrainingExample | Packed:
        """Returns a row of a batch, as the agent recorded it."""
        if isinstance(row, int):
            return self.examples[row]
        return Packed(tuple(self.examples[i] for i in row["examples"]), tuple(row["position_ids"]))

    @property
    def losses(self) -> list[float]:
        """Losses that the model reported, one per forward pass."""
        return [float(loss) for _, loss in self.training_log.get("forward_passes", ()) if loss is not None]

    @property
    def trained_folder(self) -> Path:
        """Folder of the adapter at the end of training."""
        return self.training.folder / "trained"

    @functools.cached_property
    def trained(self) -> dict[str, torch.Tensor]:
        """Tensors of the adapter at the end of training; empty if there is none."""
        return self.training.tensors("trained/adapter_model")

    @property
    def trained_others(self) -> dict[str, Path]:
        """Other adapters that were active at the end of training, by name."""
        others = map(str, self.training_log.get("other_adapters", ()))
        return {name: self.training.folder / f"trained_{number}" for number, name in enumerate(others, 1)}

    @property
    def output(self) -> Path:
        """Requested folder of the adapter; the target if the submission made it a link within its own folder."""
        return Path(os.path.realpath(self.workplace.layout.output))

    @property
    def saved_output(self) -> Path:
        """Copy of the output folder in the snapshot; a nonexistent path if the folder is elsewhere or missing."""
        root = self.workplace.layout.root
        return self.snapshot / (self.output.relative_to(root) if self.output.is_relative_to(root) else "(elsewhere)")

    def _parts(self, path: Path) -> tuple[str, ...]:
        """Returns the parts of a path relative to the workplace."""
        return path.relative_to(self.workplace.folder).parts

    @functools.cached_property
    def saved(self) -> dict[Path, Path]:
        """Adapter folders in the workplace after training, checkpoints last -> copy in the snapshot."""
        found = [path.parent for path in self.snapshot.rglob(CONFIG) if path.is_file()]
        places = {self.workplace.layout.root / copy.relative_to(self.snapshot): copy for copy in found}
        order = sorted(places, key=lambda place: (place != self.output, "checkpoint" in place.name, str(place)))
        return {place: places[place] for place in order[:20]}

    def read_adapter(self, folder: Path) -> dict[str, torch.Tensor]:
        """Returns the tensors of an adapter folder; empty if it has no readable safetensors file."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(folder / WEIGHTS)
        except (SafetensorError, OSError):
            return {}

    def scales(self, folder: Path) -> dict[str, Any]:
        """Returns the configuration entries that determine an adapter's scaling; empty if the file cannot be read."""
        try:
            config = read_table(folder)
        except UnreadableError:
            return {}
        return {name: config.get(name) or None for name in _SCALES}

    @functools.cached_property
    def read_from(self) -> Path | None:
        """Folder from which the submission's `load` read an adapter."""
        read = self.asked["load"].get("adapter_folders") or self.asked["other_folder"].get("adapter_folders") or ()
        try:
            return Path(os.path.realpath(str(read[-1]))) if read else None
        except ValueError:  # not a valid path
            return None

    @property
    def place(self) -> Path | None:
        """The saved adapter that counts: the one that is loaded, else the one in the output folder, else the first."""
        for place in (self.read_from, self.output):
            if place in self.saved:
                return place
        return next(iter(self.saved), None)

    @functools.cached_property
    def is_saved_right(self) -> bool:
        """Whether the trained adapter is saved in the folder that it is loaded from."""
        if not self.trained or self.place is None or self.place not in (self.read_from, self.output):
            return False
        if self.scales(self.trained_folder) != self.scales(self.saved[self.place]):
            return False
        saved = {without_peft(name): tensor for name, tensor in self.read_adapter(self.saved[self.place]).items()}
        own = {plain(name): tensor for name, tensor in self.trained.items()}
        return own.keys() <= saved.keys() and all(
            tensor.shape == saved[name].shape
            and torch.allclose(tensor.float(), saved[name].float(), rtol=2.0**-6, atol=1e-6, equal_nan=True)
            for name, tensor in own.items()
        )

    @property
    def named_base(self) -> str | None:
        """The model of known size that the submission targets; None if it names none."""
        return next(iter(named_bases(self.training["pretrained"].get("model_names", ())).values()), None)

    def fingerprint(self, root: Path, parts: tuple[str, ...]) -> str:
        """Returns the fingerprint of the adapter file in a subfolder; empty if there is none."""
        files = (plain_files.hash_file(root, (*parts, name)) for name in (WEIGHTS, PICKLE))
        return next(filter(None, files), "")

    def ask(self, name: str) -> AgentResult:
        """Asks the loaded model in a separate process."""
        return self.workplace.run(
            "ask",
            name,
            questions=[question for question, _ in self.asked_rows],
            probe_ids=[row.ids for row in self.probed] or [list(encode(self.tokenizer, "What is 2 h in s?"))],
            scripts=self.scripts,
            parser_texts=self.parse_texts,
            score_lines=self.score_lines,
            shortened=self.training_log.get("shortened"),
        )

    @functools.cached_property
    def known_rows(self) -> list[Row]:
        """Rows of the data that occur in captured training texts."""
        return [(text.question, text.value) for text in self.texts[:8]] or list(self.rows[:8])

    @property
    def asked_rows(self) -> list[Row]:
        """Rows to ask: fresh questions, then some training questions."""
        return [*self.questions, *self.known_rows]

    @functools.cached_property
    def scripts(self) -> list[ScriptedCall]:
        """Scripted calls for the model; empty if the format of answers is unknown."""
        return self._writer.write_calls(self.rows, self.unseen, self.questions, self.seed) if self._writer else []

    @functools.cached_property
    def score_lines(self) -> list[ScriptLine]:
        """Scripted answers to the rows of the validation data."""
        return self._writer.write_benchmark(self.unseen) if self._writer else []

    @functools.cached_property
    def parse_texts(self) -> list[str]:
        """Texts for calling the parser separately."""
        return self._writer.write_parser_texts() if self._writer else []

    @functools.cached_property
    def _writer(self) -> ScriptWriter | None:
        return ScriptWriter(self.convention, self.texts, self.tokenizer) if self.convention else None

    @property
    def supervised_lead(self) -> str:
        """Text that training supervises between question and number; empty if unknown."""
        return self._writer.supervised_lead if self._writer else ""

    def answers(self, result: AgentResult) -> list[object]:
        """Returns the submission's answers to the fresh questions; missing answers are None."""
        values = [*result["answers"].get("values", ()), *[None] * len(self.questions)]
        return values[: len(self.questions)]

    @functools.cached_property
    def scores(self) -> tuple[float, float]:
        """answer_rate and accuracy of the submission's end-to-end answers to fresh questions."""
        return count(self.answers(self.asked), self.questions)

    @property
    def is_good(self) -> bool:
        """Whether the accuracy on fresh questions reaches `GOOD`."""
        return self.scores[1] >= GOOD

    def prompts(self, result: AgentResult, rows: Sequence[Row]) -> list[tuple[int, ...] | None]:
        """Returns the ids that reached the model for each question; None if it was not asked."""
        generations = [tuple(row["prompt_ids"]) for row in result["answers"].get("generations", ())]
        texts = [decode(self.tokenizer, prompt) for prompt in generations]
        places = [find_prompt(question, texts) for question, _ in rows]
        return [None if place is None else generations[place] for place in places]

    def written_right(self, result: AgentResult) -> list[bool]:
        """Returns which fresh questions the model's completions answer rightly, as parsed by the reference."""
        if self.convention is None:
            return right([], self.questions)
        generations = result["answers"].get("generations", ())
        texts = [decode(self.tokenizer, row["prompt_ids"]) for row in generations]
        places = [find_prompt(question, texts) for question, _ in self.questions]
        completions = [
            "" if place is None else decode(self.tokenizer, generations[place]["new_token_ids"]) for place in places
        ]
        return right([read_number(text, self.convention) for text in completions], self.questions)


def named_bases(asked_for: Sequence[object]) -> dict[str, str]:
    """Returns requested model names, without owner and case, in order -> the model of known size that they mean."""
    found = {}
    for name in (str(each).lower().rpartition("/")[2] for each in asked_for):
        for known in KNOWN:
            if known.lower().removesuffix("-instruct").rpartition("-")[2] in name:
                found[name] = known
    return found
