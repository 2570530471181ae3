"""Records the stage generate: the model's answers to prompts.

Questions are about units that do not exist, except where questions of the data are asked deliberately, to catch an
implementation that looks up its answers.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.core.implementation import Answerer, Batch, Implementation, TrainingResult
from sft_ref.harness.evidence.in_process.answer_parts import (
    AskedTwice,
    BatchComparison,
    BatchOutputs,
    GeneratedLogits,
    GeneratedRows,
    LastOutput,
    ReturnedTexts,
    ScriptedOutcome,
    SharedPrefix,
)
from sft_ref.harness.evidence.in_process.task import Task
from sft_ref.harness.evidence.in_process.trained_parts import ModelChange
from sft_ref.harness.evidence.views import AnswerCount, ChosenTokens, ReturnedAnswer
from sft_ref.harness.instruments.encoding import decode
from sft_ref.harness.instruments.generation_recorder import (
    RecordedAnswers,
    record_generation,
    scripted_model,
)
from sft_ref.harness.instruments.losses import forward
from sft_ref.harness.instruments.model_state import changes
from sft_ref.harness.instruments.module_outputs import computed_dtypes, first_states, last_outputs
from sft_ref.harness.instruments.scripted.questions import find_question, normalize
from sft_ref.harness.instruments.scripted.tracked_rows import GeneratedRow
from sft_ref.harness.recorders.in_process.calls import call
from sft_ref.harness.recorders.in_process.chosen_tokens import chosen_tokens_of
from sft_ref.harness.recorders.in_process.invented import invent
from sft_ref.harness.recorders.in_process.scripted_answers import AnswerScript, ScriptRunner, coarsest

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_PREAMBLE = "Read this with care. "
_MANY = 34
"""Number of answers in one call: with a repeated one, a full batch of the usual sizes and an incomplete one."""


def scripting(implementation: Implementation, answerer: Answerer, task: Task) -> ScriptRunner:
    """Returns the writer and runner of scripts."""
    return ScriptRunner(implementation, answerer, task)


def longest_questions(scripting: ScriptRunner, task: Task) -> ScriptedOutcome:
    """Asks the longest questions of the data; prompts are recognised by their question, or by their ids in training."""
    longest = sorted(task.train_rows, key=lambda row: len(row[0]))[-4:]
    return scripting.observe(scripting.write(longest), end_at_once=True)


def batch_outputs(scripting: ScriptRunner) -> list[BatchOutputs]:
    """Records outputs for a question with a 29-digit number among shorter ones, in batches of 1 to 8.

    No two questions need the same padding. Recording stops after the first batch with a non-finite output.
    """
    *shorter, longest = scripting.script_unlikely_answers([f"{'7' * n} florps in quux?" for n in range(1, 30)])
    batches = []
    for size in range(1, 9):
        first = (size - 1) * (size - 2) // 2
        lines = [*shorter[first : first + size - 1], longest]
        with last_outputs(scripting.answerer.model) as outputs:
            scripting.run(lines, end_at_once=True)
        found = [last_output(name, output) for name, output in outputs]
        batches.append(BatchOutputs([line.question for line in lines], found))
        if any(each.not_finite for each in found):
            break
    return batches


def last_output(name: str, output: torch.Tensor) -> LastOutput:
    """Summarises a module's output at the last token, of shape (rows,) or (rows, ...)."""
    is_finite = output.isfinite().reshape(len(output), -1).all(1)
    return LastOutput(name, output.dtype, int((~is_finite).sum()), len(output), float(output.abs().max()))


def repeated_answers(scripting: ScriptRunner) -> AskedTwice:
    """Runs the same scripted answers twice."""
    lines = scripting.script_unlikely_answers(invent(4, seed=3))
    on_cpu = next(scripting.answerer.model.parameters()).device.type == "cpu"
    return AskedTwice(scripting.run(lines), scripting.run(lines), on_cpu)


def shared_prefix(scripting: ScriptRunner) -> SharedPrefix:
    """Records the states for two questions that differ only at their end."""
    questions = ["How many florps are there in 7 quux or zindles?", "How many florps are there in 7 quux or tove?"]
    states, dtype = [], torch.float32
    for line in scripting.script_unlikely_answers(questions):
        with first_states(scripting.answerer.model) as found:
            dtype = scripting.run([line], end_at_once=True).dtype
        states += found[:1]
    return SharedPrefix(questions, states, dtype)


def batch_neighbours(scripting: ScriptRunner) -> BatchComparison:
    """Asks one question among two pairs of neighbours with equally long prompts, but other numbers and units."""
    questions = [
        "How many florps are there in 7 quux?",
        "How many snarks are there in 3 tove?",
        "Change 5 raths to jubs.",
        "How many snarks are there in 8 tove?",
        "Change 4 raths to jubs.",
    ]
    own, *others = scripting.script_unlikely_answers(questions)
    one, other = (scripting.run([others[i], own, others[i + 1]]) for i in (0, 2))
    return BatchComparison(own.question, one, other)


def single_and_batched(scripting: ScriptRunner) -> list[BatchComparison]:
    """Asks questions alone and in a batch, with a long answer so that tokens after the prompt count too."""
    questions = ["2 jubs?", *invent(3, seed=6), f"{'7' * 24} florps in quux?"]
    [answer] = scripting.task.script_unlikely_answers(1, scripting.answerer.tokenizer)
    lines = scripting.write([(question, answer) for question in questions])
    together = scripting.run(lines)
    return [BatchComparison(line.question, scripting.run([line]), together) for line in lines[:2]]


def asked_one_by_one(scripting: ScriptRunner) -> list[ScriptedOutcome]:
    """Asks questions one at a time."""
    return [scripting.run([line]) for line in scripting.script_unlikely_answers(invent(3, seed=7))]


def asked_at_length(scripting: ScriptRunner, task: Task) -> list[ScriptedOutcome]:
    """Asks a question twice as long as any of the data; empty if its training text or its prompt is cut.

    How long a text may be is up to the implementation; GEN-001 and TOK-011 examine it.
    """
    longest = max(len(question) for question, _ in task.train_rows)
    question = _PREAMBLE * (2 * longest // len(_PREAMBLE)) + invent(1, seed=16)[0]
    try:
        lines = scripting.script_unlikely_answers([question])
    except Failure:
        return []
    found = scripting.observe(lines)
    if found.strange_prompts:
        return []
    found.require_all_asked()
    return [found]


def asked_together(scripting: ScriptRunner) -> ScriptedOutcome:
    """Asks, in one batch, prompts of many lengths in no order, one of them twice."""
    lines = scripting.script_unlikely_answers(invent(_MANY, seed=8))
    return scripting.run([*lines, lines[1]])


def known_questions(scripting: ScriptRunner, task: Task) -> ScriptedOutcome:
    """Scripts wrong answers to questions of both splits."""
    rows = [*task.train_rows[:4], *task.fresh_rows[:4]]
    return scripting.run(scripting.write([(question, task.wrong(truth)) for question, truth in rows]))


def returned_answers(
    asked_one_by_one: list[ScriptedOutcome],
    asked_at_length: list[ScriptedOutcome],
    asked_together: ScriptedOutcome,
    task: Task,
    parse: Callable[[str], Any],
) -> list[ReturnedAnswer]:
    """See `views`. A prompt with several questions of its batch is a fault; `ScriptRunner.run` requires one."""
    alone = [each for run in (*asked_one_by_one, *asked_at_length) for each in _returned(run, task, parse)]
    for prompt in asked_together.prompts:
        questions = sorted({*asked_together.questions})
        held = [each for each in questions if find_question([normalize(each)], prompt) is not None]
        if len(held) > 1:
            fault = f"{len(held)} questions of the batch in the prompt {prompt!r}"
            return [*alone, ReturnedAnswer(held[0], "only its own question", len(asked_together.lines), fault)]
    return [*alone, *_returned(asked_together, task, parse)]


def known_answers(known_questions: ScriptedOutcome, task: Task, parse: Callable[[str], Any]) -> list[ReturnedAnswer]:
    """See `views`; compares the texts that reach the parser.

    Raises:
        Unavailable: the parser is not called exactly once per question.
    """
    if known_questions.texts is None:
        raise Unavailable("the parser is not called once per question; PRS-004 compares the answers themselves")
    return _returned(known_questions, task, parse)


def _returned(run: ScriptedOutcome, task: Task, parse: Callable[[str], Any]) -> list[ReturnedAnswer]:
    """Compares the texts that reached the parser, or else the results of `answer`, with the scripted answers."""
    dictated = [line.answer for line in run.lines]
    found = []
    for number, line in enumerate(run.lines):
        fault = ""
        if run.texts is not None:
            if task.answers_in(run.texts[number], dictated) != {line.answer}:
                fault = f"text {number} is {run.texts[number]!r}"
        else:
            with contextlib.suppress(Failure):  # exceptions of the parser belong to its own checks
                due = parse(line.text)
                if task.is_exactly(due, line.answer) and run.answers[number] != due:  # else the parser may be at fault
                    fault = f"answer {number} is {run.answers[number]}"
        found.append(ReturnedAnswer(line.question, line.answer, len(run.lines), fault))
    return found


def chosen_tokens(answerer: Answerer) -> ChosenTokens:
    """See `views`; asks questions about which the model is unsure."""
    questions, tokenizer = invent(16, seed=10), answerer.tokenizer
    prompts = [*questions, *map(answerer.format_prompt, questions)]
    with scripted_model(answerer.model, tokenizer, keep_logits=True) as recorder:
        call(answerer.batched_generate, prompts)
    return chosen_tokens_of(recorder.generations, tokenizer)


def returned_texts(scripting: ScriptRunner) -> ReturnedTexts:
    """Requests None, 1 and 2 sequences per prompt."""
    lines = scripting.script_unlikely_answers(invent(3, seed=11))
    return ReturnedTexts(lines, {count: _say(scripting.answerer, lines, count) for count in (None, 1, 2)})


def empty_batch_outputs(answerer: Answerer) -> dict[int | None, Any]:
    """Returns the output for an empty list of prompts, for a sequence count of None and 1."""
    return {count: call(answerer.batched_generate, [], count) for count in (None, 1)}


def completions(scripting: ScriptRunner) -> ReturnedTexts:
    """Records rows of different lengths, which end at different steps: answers, and texts that decoding may change."""
    *questions, spaced, broken = invent(6, seed=13)
    texts = {spaced: " it 's  1 , 2 .", broken: " a\n\tb \u00ef"}
    lines = scripting.script_unlikely_answers(questions)
    lines += [scripting.write_text(question, text) for question, text in texts.items()]
    return ReturnedTexts(lines, {None: _say(scripting.answerer, lines, None)})


def _say(answerer: Answerer, lines: Sequence[AnswerScript], count: int | None) -> Any:  # noqa: ANN401
    prompts = [answerer.format_prompt(line.question) for line in lines]
    scripts = [line.script for line in lines]
    with scripted_model(answerer.model, answerer.tokenizer, scripts, keep_nan=True):
        return call(answerer.batched_generate, prompts, count, 0.7 if count else 0)


@dataclass(frozen=True)
class MixedBatch:
    """One call of `answer` with `asked` questions, and the dtypes of its computations."""

    asked: int
    recorded: RecordedAnswers
    dtypes: set[torch.dtype]


def mixed_batch(scripting: ScriptRunner, task: Task) -> MixedBatch:
    """Asks, in one call, fresh questions that the model answers itself and questions with long scripted answers."""
    answerer = scripting.answerer
    longest = task.dictate_longest(answerer.tokenizer)
    lines = scripting.write([*zip(invent(len(longest), seed=14), longest, strict=True)])
    questions = [line.question for line in lines] + [question for question, _ in task.fresh_rows[:5]]
    scripts = [line.script for line in lines]
    with computed_dtypes(answerer.model) as dtypes:
        found: RecordedAnswers = call(record_generation, answerer, *questions, scripts=scripts, keep_logits=True)
    return MixedBatch(len(questions), found, dtypes)


def answer_count(mixed_batch: MixedBatch) -> AnswerCount:
    """Counts the answers to a batch with short and long answers."""
    return AnswerCount(mixed_batch.asked, len(mixed_batch.recorded.answers))


def generated_rows(
    answerer: Answerer,
    mixed_batch: MixedBatch,
    model_in_fp32: Any,  # noqa: ANN401
    base_model: PreTrainedModel,
) -> GeneratedRows:
    """Compares each row's logits with those of one forward pass of the loaded model over prompt and generated tokens.

    The forward pass is of a single row, without padding and cache, in fp32.
    """
    rows = []
    known = base_model.get_input_embeddings().weight.size(0)  # type: ignore[operator]  # typed as a Module
    for row in mixed_batch.recorded.generations:
        if row.logits and not row.continues_cache:
            ids, steps = _generated(row, answerer.tokenizer.eos_token_id)
            places = [len(row.prompt_ids) - 1 + step for step in steps]
            due, seen = _logits(model_in_fp32, ids, places), torch.stack([row.logits[step] for step in steps])
            spreads = [due.std()] if max(ids) >= known else [due.std(), _logits(base_model, ids, places).std()]
            prompt = decode(answerer.tokenizer, row.prompt_ids)
            rows.append(GeneratedLogits(prompt, steps, seen, due, float(max(spreads))))
    return GeneratedRows(rows, coarsest(mixed_batch.dtypes))


def _logits(model: Any, ids: Sequence[int], places: Sequence[int]) -> torch.Tensor:  # noqa: ANN401
    """Returns the logits of one row at given positions, (positions, vocabulary)."""
    one = torch.tensor([ids])
    return forward(model, Batch(one, torch.ones_like(one), one))[0].float().cpu()[places]


def _generated(row: GeneratedRow, end: int) -> tuple[list[int], list[int]]:
    """Returns a row's ids up to its end, and the steps with known logits; ids after the end are padding."""
    new = row.new_token_ids
    length = new.index(end) + 1 if end in new else len(new)
    return [*row.prompt_ids, *new[:length]], [step for step in sorted(row.logits) if step < length]


def changes_by_answering(implementation: Implementation, task: Task, trained: TrainingResult) -> list[ModelChange]:
    """Records changes by answering in a freshly loaded model; one that has answered before may already have changed."""
    loaded = call(implementation.load, trained.folder)
    before = copy.deepcopy(loaded.model)
    call(loaded.answer, *(question for question, _ in task.fresh_rows[:4]))
    return [ModelChange(*each) for each in changes(before, loaded.model)]
