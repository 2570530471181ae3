"""What a submission does: its training, what it saves, and what it answers."""

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
from sft_ref.harness.instruments.convention import Convention, decode, encode, find_convention, find_prompt, read_texts
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
"""For the steps of one training; twice that for one whose steps cannot be planned."""
_SCALES = ("r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern")


class Captured:
    """What passed the libraries' boundaries in its own processes. `train` comes first, then `ask_own`.

    Args:
        workplace: with the data installed; its folder is the submission's.
        rows: what it trains on.
        unseen: what lies beside as its validation data.
        questions: fresh ones, with their answers, that lie nowhere.
        seed: of what is invented.

    Attributes:
        training: what came of its training.
        snapshot: a copy of its folder as training left it: plain files, out of its reach.
        left_out: what of its files is not in the snapshot, a line each.
        asked: what came of loading what it saved, and asking it.
        left: fingerprints of the saved adapters after it was asked.
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
        """Runs its training, and copies what that left."""
        self.training = self.workplace.run("train", "train", seconds=_SECONDS)
        self.snapshot = self.workplace.folder.parent / "after_training"
        left_out = plain_files.copy_folder(
            self.workplace.folder, self._parts(self.workplace.layout.root), self.snapshot
        )
        self.left_out = left_out.lines()

    def ask_own(self) -> None:
        """Asks what it loads of its own training."""
        self.asked = self.ask("ask")
        self.left = {place: self.fingerprint(self.workplace.folder, self._parts(place)) for place in self.saved}

    @property
    def training_log(self) -> Mapping[str, Any]:
        """What was captured of it."""
        return self.training["training_log"]

    @functools.cached_property
    def examples(self) -> list[TrainingExample]:
        """Every text that reached the model in training, once."""
        return [TrainingExample(tuple(ids), tuple(labels)) for ids, labels in self.training_log.get("examples", ())]

    @functools.cached_property
    def foreign(self) -> list[TrainingExample]:
        """Those with tokens that the base's tokenizer does not have."""
        return [row for row in self.examples if max(row.ids, default=0) >= len(self.tokenizer)]

    @functools.cached_property
    def readable(self) -> list[TrainingExample]:
        """The others."""
        foreign = set(self.foreign)
        return [row for row in self.examples if row not in foreign]

    @functools.cached_property
    def probed(self) -> list[TrainingExample]:
        """Those whose likelihood is compared."""
        vocabulary = json.loads((self.workplace.base / BASE_CONFIG).read_text(encoding="utf-8"))["vocab_size"]
        return self.readable[: len(choose_rows([row.ids for row in self.readable], vocabulary))]

    @functools.cached_property
    def texts(self) -> list[Text]:
        """Those that hold a question of the data."""
        return read_texts(self.examples, [*self.rows, *self.unseen], self._reader)

    @functools.cached_property
    def _reader(self) -> Any:  # noqa: ANN401
        """The base's tokenizer with the tokens that training added: without them, words on both sides run together."""
        tokenizer = load_tokenizer(self.workplace.base)
        added = {int(number): str(text) for number, text in self.training["pretrained"].get("added_tokens", {}).items()}
        while (text := added.get(len(tokenizer))) and tokenizer.add_tokens([text]):
            pass
        return tokenizer

    @functools.cached_property
    def convention(self) -> Convention | None:
        """How questions and answers are written in them; None where they hold tokens that no text tells."""
        return None if self.foreign else find_convention(self.texts)

    @property
    def closing(self) -> str:
        """What ends an answer in its texts, special tokens left out."""
        return self.convention.after.replace(str(self.tokenizer.eos_token), "").strip() if self.convention else ""

    @functools.cached_property
    def steps(self) -> list[ReplayStep]:
        """Its optimizer steps."""
        steps, done = [], 0
        passes = self.training_log.get("forward_passes", ())
        for rate, until, betas in self.training_log.get("optimizer_steps", ()):
            batches = tuple(tuple(map(self._row, filter(self._is_recorded, rows))) for rows, _ in passes[done:until])
            done = until
            batches = tuple(batch for batch in batches if batch)
            steps.append(ReplayStep(float(rate), batches, tuple(map(float, betas or BETAS))[:2]))
        return steps

    def _is_recorded(self, row: int | Mapping[str, Any]) -> bool:
        """Whether the texts of a row are among those that the agent recorded."""
        return all(i < len(self.examples) for i in ([row] if isinstance(row, int) else row["examples"]))

    def _row(self, row: int | Mapping[str, Any]) -> TrainingExample | Packed:
        """A row of a batch, as the agent recorded it."""
        if isinstance(row, int):
            return self.examples[row]
        return Packed(tuple(self.examples[i] for i in row["examples"]), tuple(row["position_ids"]))

    @property
    def losses(self) -> list[float]:
        """As the model reported them, one a forward."""
        return [float(loss) for _, loss in self.training_log.get("forward_passes", ()) if loss is not None]

    @property
    def trained_folder(self) -> Path:
        """The adapter as it was at the end of training."""
        return self.training.folder / "trained"

    @functools.cached_property
    def trained(self) -> dict[str, torch.Tensor]:
        """Its tensors; empty where there is none."""
        return self.training.tensors("trained/adapter_model")

    @property
    def trained_others(self) -> dict[str, Path]:
        """The other adapters that were active at the end of training, by their names."""
        others = map(str, self.training_log.get("other_adapters", ()))
        return {name: self.training.folder / f"trained_{number}" for number, name in enumerate(others, 1)}

    @property
    def output(self) -> Path:
        """Where its adapter is wanted; where a link within its own folder leads, if it made one."""
        return Path(os.path.realpath(self.workplace.layout.output))

    @property
    def saved_output(self) -> Path:
        """The copy of that folder in the snapshot; a path where nothing is, if it lies elsewhere or is missing."""
        root = self.workplace.layout.root
        return self.snapshot / (self.output.relative_to(root) if self.output.is_relative_to(root) else "(elsewhere)")

    def _parts(self, path: Path) -> tuple[str, ...]:
        """Of a path beneath the workplace."""
        return path.relative_to(self.workplace.folder).parts

    @functools.cached_property
    def saved(self) -> dict[Path, Path]:
        """Adapter folders that lie in the workplace after training, checkpoints last -> its copy in the snapshot."""
        found = [path.parent for path in self.snapshot.rglob(CONFIG) if path.is_file()]
        places = {self.workplace.layout.root / copy.relative_to(self.snapshot): copy for copy in found}
        order = sorted(places, key=lambda place: (place != self.output, "checkpoint" in place.name, str(place)))
        return {place: places[place] for place in order[:20]}

    def read_adapter(self, folder: Path) -> dict[str, torch.Tensor]:
        """The tensors of an adapter folder; empty where there is no safetensors file that can be read."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(folder / WEIGHTS)
        except (SafetensorError, OSError):
            return {}

    def scales(self, folder: Path) -> dict[str, Any]:
        """What an adapter folder's configuration says of the factor of its tensors; empty where it cannot be read."""
        try:
            config = read_table(folder)
        except UnreadableError:
            return {}
        return {name: config.get(name) or None for name in _SCALES}

    @functools.cached_property
    def read_from(self) -> Path | None:
        """The folder that its `load` read an adapter from."""
        read = self.asked["load"].get("adapter_folders") or self.asked["other_folder"].get("adapter_folders") or ()
        try:
            return Path(os.path.realpath(str(read[-1]))) if read else None
        except ValueError:  # no path at all
            return None

    @property
    def place(self) -> Path | None:
        """The saved adapter that counts: the one that is loaded from, else where it was wanted, else the first."""
        for place in (self.read_from, self.output):
            if place in self.saved:
                return place
        return next(iter(self.saved), None)

    @functools.cached_property
    def is_saved_right(self) -> bool:
        """Whether the adapter that training left is saved where it is loaded from."""
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
        """The model that it is meant for, where its size is known."""
        return next(iter(named_bases(self.training["pretrained"].get("model_names", ())).values()), None)

    def fingerprint(self, root: Path, parts: tuple[str, ...]) -> str:
        """Of the adapter file in a folder beneath another one; empty where there is none."""
        files = (plain_files.hash_file(root, (*parts, name)) for name in (WEIGHTS, PICKLE))
        return next(filter(None, files), "")

    def ask(self, name: str) -> AgentResult:
        """Asks what it loads, in a process of its own."""
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
        """Rows that stand in captured training texts."""
        return [(text.question, text.value) for text in self.texts[:8]] or list(self.rows[:8])

    @property
    def asked_rows(self) -> list[Row]:
        """What is asked: fresh questions, then some that were trained."""
        return [*self.questions, *self.known_rows]

    @functools.cached_property
    def scripts(self) -> list[ScriptedCall]:
        """What the model is made to say; nothing where it is not known how answers are written."""
        return self._writer.write_calls(self.rows, self.unseen, self.questions, self.seed) if self._writer else []

    @functools.cached_property
    def score_lines(self) -> list[ScriptLine]:
        """What the model is made to say to each row of its validation data."""
        return self._writer.write_benchmark(self.unseen) if self._writer else []

    @functools.cached_property
    def parse_texts(self) -> list[str]:
        """Texts for its parser alone."""
        return self._writer.write_parser_texts() if self._writer else []

    @functools.cached_property
    def _writer(self) -> ScriptWriter | None:
        return ScriptWriter(self.convention, self.texts, self.tokenizer) if self.convention else None

    @property
    def supervised_lead(self) -> str:
        """What training teaches to write between question and number; empty where that is not known."""
        return self._writer.supervised_lead if self._writer else ""

    def answers(self, result: AgentResult) -> list[object]:
        """Its answers to the fresh questions; what is missing is None."""
        values = list(result["answers"].get("values", ()))
        if len(values) != len(self.asked_rows):
            return (
                [None] * len(self.questions)
                if not values
                else (values + [None] * len(self.questions))[: len(self.questions)]
            )
        return values[: len(self.questions)]

    @functools.cached_property
    def scores(self) -> tuple[float, float]:
        """answer_rate and accuracy of its answers to fresh questions, the whole way."""
        return count(self.answers(self.asked), self.questions)

    @property
    def is_good(self) -> bool:
        """Whether its answers to fresh questions leave nothing to be wished for."""
        return self.scores[1] >= GOOD

    def prompts(self, result: AgentResult, rows: Sequence[Row]) -> list[tuple[int, ...] | None]:
        """Ids that reached the model for each question; None where it was not asked."""
        generations = [tuple(row["prompt_ids"]) for row in result["answers"].get("generations", ())]
        texts = [decode(self.tokenizer, prompt) for prompt in generations]
        places = [find_prompt(question, texts) for question, _ in rows]
        return [None if place is None else generations[place] for place in places]

    def written_right(self, result: AgentResult) -> list[bool]:
        """Which fresh questions its model answered rightly, as the reference parses its completions."""
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
    """Names that were asked for, without owner and case, in their order -> the model of known size that is meant."""
    found = {}
    for name in (str(each).lower().rpartition("/")[2] for each in asked_for):
        for known in KNOWN:
            if known.lower().removesuffix("-instruct").rpartition("-")[2] in name:
                found[name] = known
    return found
