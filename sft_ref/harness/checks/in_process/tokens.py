"""Checks of the stage tokens: from training text to ids and labels."""

from __future__ import annotations

from sft_ref.harness.core.check import Check, Level, check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.core.implementation import Batch
from sft_ref.harness.instruments.convention import decode
from sft_ref.harness.instruments.generation_recorder import record_generation, record_prompt
from sft_ref.harness.instruments.numerals import contains_answer
from sft_ref.harness.instruments.scripted_model import Script
from sft_ref.harness.instruments.training_examples import examples_of
from sft_ref.harness.recorders.in_process.context import PROBES, Context
from sft_ref.reference.prompt import CLOSE_TAG, OPEN_TAG, format_value
from sft_ref.reference.tokens import IGNORE_INDEX

_LONGEST = 32
_GOES_ON = 40
_SLACK = 2
"""Tokens that may follow the last supervised one: a stop at a text is seen a token late, and a template ends a line."""


@check(
    "TOK-001",
    "a prompt has the same ids in training as at inference",
    why="Other ids are other text to the model, however alike they decode.",
    remedy="Use one tokenizer for both, and split prompt and target apart, so that no token reaches across.",
    depends_on=("PRM-003",),
    source="T3 transformers#44618, M6 unslothai/notebooks#149",
)
def prompts_have_the_ids_of_training(context: Context) -> None:
    """TOK-001."""
    for (question, _), prompt, row in zip(PROBES, context.prompts, examples_of(context.batch), strict=True):
        if row.ids[: len(prompt)] != prompt:
            raise Failure(f"ids {row.ids[: len(prompt)]} in training", f"{prompt}, as at inference", question)


@check(
    "TOK-002",
    "a label is its own input token, or ignored",
    why="The model shifts labels itself: labels that are shifted before teach it to skip every other token.",
    remedy="Copy input_ids to labels, and set what is not supervised to -100.",
    source="M8 axolotl#2089",
)
def labels_are_inputs_or_ignored(context: Context) -> None:
    """TOK-002."""
    batch = context.batch
    wrong = (batch.labels != IGNORE_INDEX) & (batch.labels != batch.input_ids)
    if wrong.any():
        row, at = wrong.nonzero()[0].tolist()
        seen = f"label {batch.labels[row, at]} on token {batch.input_ids[row, at]} ({int(wrong.sum())} such)"
        raise Failure(seen, f"{IGNORE_INDEX} or the token", PROBES[row][0])


@check(
    "TOK-003",
    "padding carries no label, and what carries one is attended",
    why="Loss on padding drowns the answers' loss; a token that is not attended cannot be learned in its place.",
    remedy="Build labels and attention mask from lengths, never from ids that equal the padding token's.",
    source="M1 transformers#23530, trl#6357",
)
def padding_carries_no_label(context: Context) -> None:
    """TOK-003."""
    wrong = (context.batch.attention_mask == 0) & (context.batch.labels != IGNORE_INDEX)
    if wrong.any():
        row, at = wrong.nonzero()[0].tolist()
        raise Failure(f"{int(wrong.sum())} labels where the mask is 0, first at column {at}", "none", PROBES[row][0])


@check(
    "TOK-004",
    "every training text has a label, the longest too",
    why="A row without labels teaches nothing, and a batch of them has the loss NaN.",
    remedy="Cut what is too long from the prompt's beginning, and find the target by its length, not by a pattern.",
    source="M4 trl#1920, trl#1191",
)
def every_text_has_a_label(context: Context) -> None:
    """TOK-004."""
    longest = sorted(context.train_rows, key=lambda row: len(row[0]))[-_LONGEST:]
    batch = context.call(context.implementation.training_batch, longest)
    bare = [question for (question, _), row in zip(longest, examples_of(batch), strict=True) if row.begin is None]
    if bare:
        raise Failure(f"{len(bare)} of {len(longest)} texts without a label", "none", bare[0])


@check(
    "TOK-005",
    "supervision begins no later than the prompt ends, and has no holes",
    why="A first token that was never supervised is guessed at inference, and all that follows it with it.",
    remedy="Measure the prompt as inference sends it: no space, token or template more.",
    depends_on=("TOK-001", "TOK-004"),
    source="S3, M5 trl#6105",
)
def supervision_begins_where_the_prompt_ends(context: Context) -> None:
    """TOK-005."""
    tokenizer = context.answerer.tokenizer
    for (question, _), prompt, row in zip(PROBES, context.prompts, examples_of(context.batch), strict=True):
        holes = [i for i in range(len(prompt), row.end) if row.labels[i] == IGNORE_INDEX]
        if holes or row.end <= len(prompt):
            missed = decode(tokenizer, [row.ids[i] for i in holes] or row.ids[len(prompt) :])
            raise Failure(f"{missed!r} is not supervised", "all of the target", question)


@check(
    "TOK-006",
    "the supervised text spells the answer",
    why="The model writes what it is taught: a label that was rounded away is taught wrong.",
    remedy="Write numbers with as many decimals as the answer needs.",
    depends_on=("TOK-005",),
    source="S10",
)
def supervised_text_spells_the_answer(context: Context) -> None:
    """TOK-006."""
    for (question, value), prompt, row in zip(PROBES, context.prompts, examples_of(context.batch), strict=True):
        text = decode(context.answerer.tokenizer, row.ids[len(prompt) : row.end])
        if not contains_answer(text, value):
            raise Failure(repr(text), f"a number within 5 % of {value}", question)


@check(
    "TOK-007",
    "generation ends where supervision ends",
    why="A model that is never taught to end goes on until its budget is spent, and writes over its answer.",
    remedy="Supervise the token that generation stops at, or stop at the closing tag.",
    depends_on=("TOK-005",),
    source="M1 transformers#23530, trl#976, M2 axolotl#3754",
)
def generation_ends_where_supervision_ends(context: Context) -> None:
    """TOK-007: the model is made to write what it was taught, and then to go on with digits."""
    [(question, _), prompt, row] = min(
        zip(PROBES, context.prompts, examples_of(context.batch), strict=True), key=lambda each: len(each[2].ids)
    )
    target = row.ids[len(prompt) : row.end]
    digit = context.answerer.tokenizer("7", add_special_tokens=False)["input_ids"][-1]
    written = (*target, *[digit] * _GOES_ON)
    script = Script(question, (*prompt, *written), written, len(prompt))
    found = context.call(record_generation, context.answerer, question, scripts=[script])
    if not found.generations:
        raise Unavailable("the question is answered without the model, which was asked it before")
    new = found.generations[0].new_token_ids
    if len(new) > len(target) + _SLACK:
        last = decode(context.answerer.tokenizer, target[-1:])
        raise Failure(f"{len(new) - len(target)} tokens more after {last!r}", f"at most {_SLACK}", question)


@check(
    "TOK-008",
    "tokenizing again gives the same ids",
    why="State that is left behind changes the next epoch, or the prompts of a test in the same process.",
    remedy="Set nothing on a shared tokenizer, and change no list that was handed out.",
)
def tokenizing_again_gives_the_same_ids(context: Context) -> None:
    """TOK-008."""
    tokenize, answerer = context.implementation.training_batch, context.answerer
    asked, first = context.prompts, examples_of(context.batch)
    again = examples_of(context.call(tokenize, PROBES))
    alone = examples_of(context.call(tokenize, PROBES[:1]))
    for (question, _), old, row in zip((*PROBES, PROBES[0]), (*first, first[0]), (*again, *alone), strict=True):
        if row != old:
            raise Failure(f"ids {row.ids}", f"{old.ids}, as at first", question)
    for (question, _), due in zip(PROBES, asked, strict=True):
        prompt = context.call(record_prompt, answerer, question)
        if prompt != due:
            seen, text = (repr(decode(answerer.tokenizer, ids)) for ids in (prompt, due))
            raise Failure(f"prompt {seen}", f"{text}, as before training texts were made", question)


@check(
    "TOK-009",
    "only what follows the prompt is supervised",
    level=Level.CONTRACT,
    why="Loss on questions is loss that answers do not need.",
    remedy="Mask the prompt by its number of tokens.",
    depends_on=("TOK-005",),
    source="M5 trl#6105",
)
def only_the_target_is_supervised(context: Context) -> None:
    """TOK-009."""
    for (question, _), prompt, row in zip(PROBES, context.prompts, examples_of(context.batch), strict=True):
        if row.begin != len(prompt):
            raise Failure(f"first label on token {row.begin}", f"{len(prompt)}, the prompt's length", question)


@check(
    "TOK-010",
    "the target is the value, a closing tag and the end",
    level=Level.CONTRACT,
    why="Adapters and implementations are exchanged; one wording makes them fit.",
    remedy=f"Write str(round(value, 3)) + '{CLOSE_TAG}' and the tokenizer's end-of-sequence token.",
)
def targets_have_the_exact_form(context: Context) -> None:
    """TOK-010."""
    tokenizer = context.answerer.tokenizer
    for (question, value), row in zip(PROBES, examples_of(context.batch), strict=True):
        due = f"{question} {OPEN_TAG}{format_value(value)}{CLOSE_TAG}{tokenizer.eos_token}"
        if decode(tokenizer, row.ids) != due:
            raise Failure(repr(decode(tokenizer, row.ids)), repr(due), question)


@check(
    "TOK-011",
    "a question that is too long keeps its whole target",
    level=Level.CONTRACT,
    why="Text is cut at the right by default, which is where the answer stands.",
    remedy="Cut the beginning of the prompt.",
    depends_on=("TOK-009",),
)
def long_questions_keep_their_target(context: Context) -> None:
    """TOK-011."""
    question, value = PROBES[1]
    rows = [(question, value), (f"{'I ask again: ' * 500}{question}", value)]
    batch: Batch = context.call(context.implementation.training_batch, rows)
    short, long = (tuple(label for label in row.labels if label != IGNORE_INDEX) for row in examples_of(batch))
    if short != long:
        tokenizer = context.answerer.tokenizer
        raise Failure(repr(decode(tokenizer, long)), repr(decode(tokenizer, short)), "500 times as long")


CHECKS: tuple[Check, ...] = (
    prompts_have_the_ids_of_training,
    labels_are_inputs_or_ignored,
    padding_carries_no_label,
    every_text_has_a_label,
    supervision_begins_where_the_prompt_ends,
    supervised_text_spells_the_answer,
    generation_ends_where_supervision_ends,
    tokenizing_again_gives_the_same_ids,
    only_the_target_is_supervised,
    targets_have_the_exact_form,
    long_questions_keep_their_target,
)
