"""All recorded evidence of one fine-tune."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath

from sft_ref.harness.core.findings import Blocked, Failure, Unavailable
from sft_ref.harness.core.numerals import find_numerals, number
from sft_ref.harness.core.sizes import SizeLimits
from sft_ref.io.lora_config import CONFIG
from sft_ref.reference.data import score
from sft_ref.reference.guards.names import plain, without_peft

from .answering import Generations, Loaded, Parsed, Prompts, Scores
from .artifact import Artifact
from .experiments import Experiments
from .submission.scripted_results import (
    completed_scripts,
    follow_scripts,
    is_looked_up,
    is_lossy,
    is_template_parsed_wrongly,
    parsed_alone,
    raise_for_crash,
    scripted_texts,
)
from .submission.wording import labelled_texts, omitted_template
from .training import Examples, FirstLosses, Training, TrainingSteps
from .views import (
    AnswerCount,
    AnswerText,
    AnswerTexts,
    BaseWeights,
    ChosenTokens,
    FolderDigests,
    LabelledRow,
    LoadedLosses,
    MeasuredSize,
    ModelDtypes,
    NonfiniteLogits,
    ParsedText,
    ParsedTexts,
    ReportedFigures,
    ReturnedAnswer,
    SavedConfiguration,
    SavedTensors,
)

GOOD = 0.8
"""Minimum accuracy on fresh questions at which no answers count as lost, on a base model that can reach it."""

_TIES = 0.01
"""Maximum share of generated tokens that may be near ties."""


@dataclass(frozen=True)
class Evidence:
    """Evidence of each stage, in the order in which a question passes them, and of the swap experiments.

    A stage that could not be observed is marked so in its own part. Code that reads evidence never modifies it.

    Attributes:
        prompts: the prompts that reach the model.
        examples: the training examples.
        training: the training process and its result.
        artifact: the saved files.
        loaded: the model that answers.
        generations: the completions that it generates.
        parsed: the parser's results when called directly.
        scores: the figures that testing reports.
        experiments: the swap experiments.
        limits: limits on the size; none by default.
        notes: remarks on how the fine-tune was run.
        is_sandboxed: whether it ran in a sandbox.
        user_paths: maps scratch paths in the recording to the user's own paths.
        errors: errors of the harness, a clause each.
    """

    prompts: Prompts
    examples: Examples
    training: Training
    artifact: Artifact
    loaded: Loaded
    generations: Generations
    parsed: Parsed
    scores: Scores
    experiments: Experiments
    limits: SizeLimits
    notes: tuple[str, ...]
    is_sandboxed: bool
    user_paths: Mapping[str, str]
    errors: tuple[str, ...] = ()

    @property
    def answers_survive(self) -> bool:
        """Whether the accuracy on fresh questions is at least `GOOD`."""
        return self.experiments.accuracy >= GOOD

    @property
    def sizes(self) -> MeasuredSize:
        """The size of the saved files."""
        artifact, whole = self.artifact, ""
        if artifact.is_custom_form and artifact.output_bytes >= artifact.base_bytes:
            whole = (
                f"{artifact.output_bytes / 1e6:.1f} MB of tensors, where the base has {artifact.base_bytes / 1e6:.1f}"
            )
        example = artifact.wanted if whole else artifact.largest_tensor
        return MeasuredSize(artifact.size, artifact.size_unknown, str(artifact.named_base), example, whole)

    @property
    def pickles(self) -> tuple[str, ...]:
        """Names of the files that contain the saved tensors, if they are pickles."""
        return self.artifact.pickles

    @property
    def labelled_rows(self) -> list[LabelledRow]:
        """Training texts that contain their answer.

        Raises:
            Unavailable: labels were not observed, or no text contains its answer.
        """
        return [LabelledRow(each.ids, each.labels, each.text) for each in labelled_texts(self.examples)]

    @property
    def answer_texts(self) -> AnswerTexts:
        """Training texts that contain a question of the data.

        Raises:
            Unavailable: there are no such texts.
        """
        if not self.examples.distinct:
            raise Unavailable("no text reached the model in training")
        if not self.examples.texts:
            raise Unavailable("no training text contains a question exactly as it is in the data")
        texts = [AnswerText(each.text, each.value, each.is_answered) for each in self.examples.texts]
        return AnswerTexts(texts, self.experiments.accuracy)

    @property
    def chosen_tokens(self) -> ChosenTokens:
        """The generated tokens of the answers to fresh questions.

        Raises:
            Unavailable: no generation was observed.
        """
        rows = self.generations.answers.generations if self.generations.answers else ()
        if not any(row.new_token_ids for row in rows):
            raise Unavailable("no generation was observed")
        return ChosenTokens(sum(row.unlikely for row in rows), sum(len(row.new_token_ids) for row in rows), _TIES)

    @property
    def saved_tensors(self) -> SavedTensors:
        """Trained and saved tensors by their names in the base model.

        Weights that are saved in a custom form are compared by their logits once they are loaded, not here.

        Raises:
            Blocked: nothing is saved, or it is saved with another scaling.
        """
        if self.artifact.is_custom_form:
            note = (
                "it is saved in a custom format; once loaded, its loss on training texts is that of the trained model"
            )
            return SavedTensors({}, {}, note=note)
        adapter, configuration = self.artifact.counted, self.saved_configuration
        if adapter.tensors and configuration.trained != configuration.saved:
            raise Blocked("the saved configuration is not the trained one: ART-005 reports it")
        trained = {plain(name): tensor for name, tensor in self.training.adapter.items()}
        saved = {without_peft(name): tensor for name, tensor in adapter.tensors.items()}
        return SavedTensors(trained, saved, self.artifact.is_saved_well, adapter.place)

    @property
    def saved_configuration(self) -> SavedConfiguration:
        """The configuration values that determine the scaling of the tensors.

        Raises:
            Blocked, Unavailable: no peft adapter is saved.
        """
        adapter, trained = self.artifact.counted, self.training.scale
        return SavedConfiguration(
            trained, {name: adapter.scale.get(name) for name in trained}, str(PurePath(adapter.place, CONFIG))
        )

    @property
    def model_dtypes(self) -> ModelDtypes:
        """The dtypes of the base model's parameters."""
        trained, loaded = (
            {"the base": _names(each)} if each else {} for each in (self.training.dtypes, self.loaded.own_dtypes)
        )
        return ModelDtypes(trained, {"": loaded})

    @property
    def loaded_losses(self) -> LoadedLosses:
        """The loss of each supervised token of the training texts.

        Raises:
            Blocked, Unavailable: there is nothing to compare.
            Failure: the loaded model returns no logits.
        """
        compared = self.loaded.compared
        if not compared.expected_finite:
            raise Blocked("the logits of the trained model are not finite: TRN-102 reports it")
        if compared.finite is None or not compared.finite.all():
            raise Unavailable("its logits are not finite, which LOD-108 reports")
        if compared.observed is None or compared.expected is None or compared.base is None:
            raise Unavailable("no token of the training texts has its own id as its label")
        change = f"largest change of a logit {compared.largest_change:.3g}"
        is_custom = self.training.is_custom_lora
        return LoadedLosses(compared.observed, compared.expected, compared.base, change, is_custom)

    @property
    def nonfinite_logits(self) -> NonfiniteLogits:
        """Logits of training texts that are not finite, although those of the adapter that the reference loads are.

        Raises:
            Unavailable: the logits were not compared.
            Failure: the loaded model returns no logits.
        """
        compared = self.loaded.compared
        if compared.finite is None:
            raise Unavailable("its logits were not compared")
        lost, tokens = int((~compared.finite).sum()), len(compared.finite)
        found = f"for {lost} of {tokens} tokens" if lost and compared.expected_finite else ""
        return NonfiniteLogits(found, f"a base in {_names(self.loaded.dtypes)}")

    @property
    def base_weights(self) -> BaseWeights:
        """The base model's parameters that training changes."""
        is_restored = self.training.is_custom_lora and self.artifact.is_loaded_as_trained
        return BaseWeights(self.training.changed, self.artifact.tensor_names, is_restored)

    @property
    def training_steps(self) -> TrainingSteps | None:
        """The recorded optimizer steps; None if they were not recorded."""
        return self.training.recorded

    @property
    def first_losses(self) -> FirstLosses:
        """The losses at the first training step, and those of the base model.

        Raises:
            Unavailable: the losses are unknown.
        """
        if self.training.first_losses is None:
            raise Unavailable(
                "the first batch is unknown, its forward pass cannot be repeated, or the adapter has an effect by then"
            )
        return self.training.first_losses

    @property
    def answer_count(self) -> AnswerCount:
        """The number of answers to fresh questions in one call, as a benchmark asks them.

        Raises:
            Blocked: nothing was loaded.
            Failure: answering raises an exception, or does not return.
        """
        loaded, answers = self.loaded, self.generations.answers
        if not loaded.was_reached or loaded.crash:
            raise Blocked("nothing was loaded")
        raise_for_crash(answers, parser=False)
        if answers is None or not self.scores.was_reached:
            raise Failure(f"answering {loaded.process.ended_early}", "answers", loaded.process.output)
        asked = self.generations.asked
        return AnswerCount(asked, asked if answers.crash else len(answers.values or ()))

    @property
    def returned_answers(self) -> list[ReturnedAnswer]:
        """Answers to questions about invented units, which cannot be looked up anywhere.

        Raises:
            Blocked, Unavailable: nothing can be scripted.
            Failure: answering raises an exception.
        """
        if self.prompts.any_lost is not None:
            raise Blocked("no prompt holds its question, as PRM-101 reports")
        return [each for kind in ("together", "alone") for each in follow_scripts(self, kind)]

    @property
    def known_answers(self) -> list[ReturnedAnswer]:
        """Scripted answers to questions of the submission's data, and to others.

        A returned value that differs from the parsed one counts as a fault, too.

        Raises:
            Blocked, Unavailable: nothing can be scripted.
            Failure: answering raises an exception.
        """
        return [each for kind in ("known", "together") for each in follow_scripts(self, kind, past_the_parser=True)]

    @property
    def parsed_texts(self) -> ParsedTexts:
        """Texts with a scripted number, or else training answers if the parser can be called directly.

        Raises:
            Blocked: nothing was loaded, or the model generates the part of the template that the prompts omit.
            Unavailable: nothing is known to have reached the parser.
            Failure: the parser raises an exception.
        """
        gap = omitted_template(self.prompts, self.examples)
        if gap and is_template_parsed_wrongly(self):
            raise Blocked(f"the prompts leave out {gap!r}, which the model then has to write, as PRM-101 reports")
        texts, (bare, led) = scripted_texts(self), parsed_alone(self)
        is_led = bool(led) and all(each.is_right for each in led)
        if not texts and not bare:
            raise Unavailable("there is no parser that can be called")
        form = self.examples.form
        lead = form.markup if form and is_led and not any(each.is_right for each in bare) else ""
        return ParsedTexts(texts or (led if is_led else bare), lead)

    @property
    def answerless_texts(self) -> list[ParsedText]:
        """Texts without a number that the model is forced to write, and the values returned for them.

        The parser's own value counts if answers are looked up.

        Raises:
            Blocked, Unavailable: no such text was answered.
            Failure: the parser raises an exception.
        """
        texts = []
        for run in completed_scripts(self, "silent"):
            raise_for_crash(run.answers, parser=True)
            values, parsed = run.answers.values or (), run.answers.parsed
            seen = parsed if len(parsed) == len(values) else [("", None)] * len(values)
            for line, value, (text, own) in zip(run.lines, values, seen, strict=False):
                if not find_numerals(text):  # else the fault belongs to the generate stage
                    texts.append(ParsedText(text, own if is_looked_up(self) else value, question=line.question))
        if not texts:
            raise Unavailable("no answer came back when the model gave no number")
        return texts

    @property
    def reported_figures(self) -> ReportedFigures:
        """Figures that testing reports on a benchmark with scripted answers.

        They are compared with the scripted answers if none of the benchmark's answers was observed.

        Raises:
            Unavailable: testing reports no figures on observed answers.
        """
        scores = self.scores
        observed = {name: [number(each) for each in found] for name, found in (scores.figures or {}).items() if found}
        if not observed and scores.figures is not None and not scores.printed:
            return ReportedFigures(observed)
        answered = scores.answered if scores.was_observed else () if is_lossy(self) else scores.scripted
        if not answered or not observed:
            raise Unavailable("it reports no figures on answers that were observed")
        splits = [[row for row in answered if (row[0] in scores.validation) == known] for known in (True, False)]
        counted = [score([row[2] for row in part], [row[1] for row in part]) for part in (answered, *splits) if part]
        expected = [{"accuracy": each.accuracy, "answer_rate": each.answer_rate} for each in counted]
        return ReportedFigures(observed, expected, len(answered))

    @property
    def folder_digests(self) -> FolderDigests:
        """Digests of the saved adapter's tensors."""
        saved = self.artifact.counted
        before, after = ({saved.place: digest} if digest else {} for digest in (saved.before, saved.after))
        return FolderDigests(before, after)


def _names(dtypes: Iterable[str]) -> str:
    return ", ".join(sorted(name.removeprefix("torch.") for name in dtypes))
