"""Records the stages prompt and tokens: the ids that reach the model when asked, and the training data."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.core.implementation import Answerer, Batch, Implementation, TaskRow
from sft_ref.harness.core.training_examples import TrainingExample, examples_of
from sft_ref.harness.evidence.in_process.answer_parts import AskedText, GenerationEnd, TokenizedAgain
from sft_ref.harness.evidence.in_process.task import Task
from sft_ref.harness.evidence.views import AnswerText, AnswerTexts, LabelledRow
from sft_ref.harness.instruments.encoding import decode
from sft_ref.harness.instruments.generation_recorder import Ids, ModelNotCalled, record_generation
from sft_ref.harness.instruments.scripted.tracked_rows import Script
from sft_ref.harness.recorders.in_process.calls import ask_prompt, call, training_batch
from sft_ref.reference.bases.find import find_base
from sft_ref.reference.questions import PHRASINGS, UNITS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_UNITS = [tuple(spellings[0] for spellings in units.values()) for units in UNITS.values()]
_FRAMES = ("First: {question}", "Second: {question}", "{question} Be brief.", "{question} Be exact.")
_UNUSUAL = (
    "{question}\nAnswer with a number.",
    "In short:  {question}",
    '"{question}" (100 % sure, {{x}}, <b>, &amp;, #1)',
    "Was ergibt es, na\u00efve \u6570? {question}",
)
"""Questions with a line break, two spaces, characters that templates and markup treat specially, and other letters."""
_SIMILAR_NUMBERS = ("3", "-3", "3.5", "35", "3,5", "3e5", "\u00bd")
"""Numbers that become equal if signs, points or letters outside ASCII are dropped."""
_TEXT_ROWS = (("Which city is this?", 'Z\u00fcrich "x" & <b>'), ("Which number is this?", "007"))
"""Rows with letters outside ASCII, quotes and markup, and digits that are no number."""
_LONGEST = 32
_GOES_ON = 40
"""Number of script tokens after the supervised text."""


def tokenizer(answerer: Answerer) -> PreTrainedTokenizerBase:
    """Returns the tokenizer of the loaded model."""
    return answerer.tokenizer


def base_tokenizer(implementation: Implementation) -> PreTrainedTokenizerBase:
    """Loads the tokenizer in the base model's folder, independently of the implementation."""
    from transformers import AutoTokenizer

    found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(find_base(implementation.base))
    return found


def prompts(answerer: Answerer, task: Task) -> list[Ids]:
    """Returns the ids that reach the model when the questions of the probes are asked one by one."""
    return [ask_prompt(answerer, question) for question, _ in task.probes]


def similar_prompts(answerer: Answerer, task: Task) -> list[dict[str, Ids]]:
    """Records prompts of similar questions, the shortest first; questions that reach no model are left out."""
    found = []
    for questions in _alike(task):
        asked: dict[str, Ids] = {}
        for question in questions:
            with contextlib.suppress(ModelNotCalled):  # reported by the score stage
                asked[question] = ask_prompt(answerer, question)
        found.append(asked)
    return found


def _alike(task: Task) -> Iterator[list[str]]:
    """Yields similar questions; for user rows, the text before or after the question differs."""
    if task.is_own:
        for question, _ in sorted(task.probes, key=lambda row: len(row[0])):
            yield [question, *(form.format(question=question) for form in _FRAMES)]
        return
    for i, phrasing in enumerate(sorted(PHRASINGS, key=len)):
        of, to, other = _UNITS[i % len(_UNITS)][:3]
        n = i % 10 + 1
        yield [
            phrasing.format(n=n, of=of, to=to),
            phrasing.format(n=n % 10 + 1, of=of, to=to),
            phrasing.format(n=n, of=other, to=to),
            phrasing.format(n=n, of=of, to=other),
        ]
    longest = max(PHRASINGS, key=len)
    of, to, *_ = _UNITS[0]
    yield [longest.format(n=n, of=each, to=to) for n in _SIMILAR_NUMBERS for each in (of, f"\u00b5{of}", f"{of}\u00b2")]


def unusual_prompts(answerer: Answerer, task: Task) -> dict[str, Ids]:
    """Returns the prompts of questions with unusual characters."""
    asked = [form.format(question=task.probes[0][0]) for form in _UNUSUAL]
    return {question: ask_prompt(answerer, question) for question in asked}


def unusual_texts(implementation: Implementation, task: Task, unusual_prompts: dict[str, Ids]) -> list[AskedText]:
    """Returns these prompts, recorded before anything is tokenized for training, and the training texts."""
    value = task.probes[0][1]
    examples = examples_of(training_batch(implementation, [(question, value) for question in unusual_prompts]))
    return [AskedText(*each, row) for each, row in zip(unusual_prompts.items(), examples, strict=True)]


def spaced_prompts(answerer: Answerer, task: Task) -> dict[str, Ids]:
    """Records prompts of one question, first unchanged, then surrounded by white space."""
    question = task.probes[0][0]
    spaced = (question, f" {question}", f"{question}\n", f"\t{question}  ")
    return {each: ask_prompt(answerer, each) for each in spaced}


def batch(implementation: Implementation, task: Task) -> Batch:
    """Returns the probes as they reach training."""
    return training_batch(implementation, task.probes)


def examples(batch: Batch) -> list[TrainingExample]:
    """Returns the rows of the batch."""
    return examples_of(batch)


def text_examples(implementation: Implementation) -> dict[TaskRow, TrainingExample]:
    """Records rows whose answers are texts as they reach training.

    Raises:
        Unavailable: the implementation takes no such rows.
    """
    try:
        return dict(zip(_TEXT_ROWS, examples_of(training_batch(implementation, _TEXT_ROWS)), strict=True))
    except Failure as failure:
        raise Unavailable(f"it takes no answers that are texts: {failure.observed}") from failure


def longest_examples(implementation: Implementation, task: Task) -> dict[str, TrainingExample]:
    """Returns the training texts of the longest questions, by question."""
    longest = sorted(task.train_rows, key=lambda row: len(row[0]))[-_LONGEST:]
    found = examples_of(training_batch(implementation, longest))
    return {question: row for (question, _), row in zip(longest, found, strict=True)}


def tokenized_again(
    implementation: Implementation,
    answerer: Answerer,
    task: Task,
    prompts: list[Ids],  # noqa: ARG001  # recorded before anything is tokenized again
    batch: Batch,  # noqa: ARG001
) -> TokenizedAgain:
    """Tokenizes the probes and their prompts a second time, and then with other answers."""
    again = examples_of(training_batch(implementation, task.probes))
    alone = examples_of(training_batch(implementation, task.probes[:1]))
    asked = [ask_prompt(answerer, question) for question, _ in task.probes]
    others = [(question, task.wrong(value)) for question, value in task.probes]
    return TokenizedAgain(again, alone, asked, examples_of(training_batch(implementation, others)))


def short_and_long(implementation: Implementation, task: Task) -> list[TrainingExample]:
    """Returns the training texts of a question, and of one with 500 repetitions of a phrase before it."""
    question, value = task.probes[1]
    rows = [(question, value), (f"{'I ask again: ' * 500}{question}", value)]
    return examples_of(training_batch(implementation, rows))


def labelled_rows(batch: Batch, task: Task) -> list[LabelledRow]:
    """See `views`; the batch of the probes, padding included."""
    rows = zip(batch.input_ids.tolist(), batch.labels.tolist(), task.probes, strict=True)
    return [LabelledRow(ids, labels, question) for ids, labels, (question, _) in rows]


def answer_texts(
    task: Task, prompts: list[Ids], examples: list[TrainingExample], tokenizer: PreTrainedTokenizerBase
) -> AnswerTexts:
    """See `views`; the labelled texts of the probes."""
    texts = []
    for (_, value), prompt, row in zip(task.probes, prompts, examples, strict=True):
        text = decode(tokenizer, row.ids[len(prompt) : row.end])
        texts.append(AnswerText(text, value, task.contains(text, value)))
    return AnswerTexts(texts)


def generation_end(
    answerer: Answerer, task: Task, prompts: list[Ids], examples: list[TrainingExample]
) -> GenerationEnd:
    """Scripts the shortest supervised text, followed by digits, to record where writing ends.

    Raises:
        Unavailable: the model is not asked.
    """
    [(question, _), prompt, row] = min(
        zip(task.probes, prompts, examples, strict=True), key=lambda each: len(each[2].ids)
    )
    target = row.ids[len(prompt) : row.end]
    digit = answerer.tokenizer("7", add_special_tokens=False)["input_ids"][-1]
    written = (*target, *[digit] * _GOES_ON)
    script = Script(question, (*prompt, *written), written, len(prompt))
    found = call(record_generation, answerer, question, scripts=[script])
    if not found.generations:
        raise Unavailable("the question is answered without the model, although the model was asked it before")
    return GenerationEnd(question, target, len(found.generations[0].new_token_ids))
