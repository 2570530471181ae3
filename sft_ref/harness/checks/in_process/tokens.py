"""Checks of the stage tokens: from training text to ids and labels."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Failure
from sft_ref.harness.core.implementation import Batch, TaskRow
from sft_ref.harness.core.training_examples import TrainingExample
from sft_ref.harness.evidence.in_process.answer_parts import GenerationEnd, TokenizedAgain
from sft_ref.harness.instruments.convention import find_question
from sft_ref.harness.instruments.encoding import decode, encode
from sft_ref.harness.instruments.generation_recorder import Ids
from sft_ref.reference.prompt import CLOSE_TAG, OPEN_TAG, format_value
from sft_ref.reference.tokens import IGNORE_INDEX

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SAME_IDS = 0.8
"""Fraction of ids that re-encoding the decoded text must reproduce. A text encoded in parts differs where they meet."""
_SLACK = 2
"""Number of tokens that may follow the last supervised one: a stop string is detected one token late, and a chat
template may end with a line break."""


@check(
    "TOK-001",
    "A prompt has the same token ids in training and at inference",
    why="Different ids are different text to the model, even if they decode to the same string.",
    remedy="Use one tokenizer for both, and tokenize prompt and target separately, so that no token spans the"
    " boundary.",
    depends_on=("PRM-003",),
    source="T3 transformers#44618, M6 unslothai/notebooks#149",
)
def prompts_have_the_ids_of_training(
    prompts: Sequence[Ids], examples: Sequence[TrainingExample], probes: Sequence[TaskRow]
) -> None:
    """TOK-001."""
    for (question, _), prompt, row in zip(probes, prompts, examples, strict=True):
        if row.ids[: len(prompt)] != prompt:
            raise Failure(
                f"the ids of the prompt are {row.ids[: len(prompt)]} in training",
                f"{prompt}, as at inference",
                question,
            )


@check(
    "TOK-003",
    "Padding has no label, and every labelled token is attended to",
    why="Loss on padding outweighs the loss on answers; a token that is masked out is learned without its context.",
    remedy="Build labels and attention mask from lengths, not by comparing ids with the padding token.",
    source="M1 transformers#23530, trl#6357",
)
def padding_carries_no_label(batch: Batch, probes: Sequence[TaskRow]) -> None:
    """TOK-003."""
    wrong = (batch.attention_mask == 0) & (batch.labels != IGNORE_INDEX)
    if wrong.any():
        row, at = wrong.nonzero()[0].tolist()
        raise Failure(
            f"{int(wrong.sum())} labels are at masked positions, the first in column {at}",
            "none",
            probes[row][0],
        )


@check(
    "TOK-004",
    "Every training text has at least one label, even the longest",
    why="A row without labels teaches nothing, and a batch of such rows has the loss NaN.",
    remedy="Truncate the beginning of the prompt, and locate the target by its length instead of a pattern.",
    source="M4 trl#1920, trl#1191",
)
def every_text_has_a_label(longest_examples: Mapping[str, TrainingExample]) -> None:
    """TOK-004: Examines the training texts of the longest questions."""
    bare = [question for question, row in longest_examples.items() if row.begin is None]
    if bare:
        raise Failure(f"{len(bare)} of {len(longest_examples)} texts have no label", "none", bare[0])


@check(
    "TOK-005",
    "Labels begin at the end of the prompt or earlier, and have no gaps",
    why="If the first token of the target has no label, the model guesses it at inference, and all that follows"
    " depends on the guess.",
    remedy="Measure the prompt exactly as it is sent at inference, without an extra space, token or template.",
    depends_on=("TOK-001", "TOK-004"),
    source="S3, M5 trl#6105",
)
def supervision_begins_where_the_prompt_ends(
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Ids],
    examples: Sequence[TrainingExample],
    probes: Sequence[TaskRow],
) -> None:
    """TOK-005."""
    for (question, _), prompt, row in zip(probes, prompts, examples, strict=True):
        holes = [i for i in range(len(prompt), row.end) if row.labels[i] == IGNORE_INDEX]
        if holes or row.end <= len(prompt):
            missed = decode(tokenizer, [row.ids[i] for i in holes] or row.ids[len(prompt) :])
            raise Failure(f"{missed!r} has no label", "labels on the whole target", question)


@check(
    "TOK-007",
    "Generation stops where the labels end",
    why="A model that is not trained to stop writes until its token budget is used up, and appends to its answer.",
    remedy="Label the token that generation stops at, or stop at the closing tag.",
    depends_on=("TOK-005",),
    source="M1 transformers#23530, trl#976, M2 axolotl#3754",
)
def generation_ends_where_supervision_ends(tokenizer: PreTrainedTokenizerBase, generation_end: GenerationEnd) -> None:
    """TOK-007: Scripts the supervised text, followed by digits."""
    target = generation_end.target
    more = generation_end.written - len(target)
    if more > _SLACK:
        last = decode(tokenizer, target[-1:])
        seen = f"{more} more tokens are generated after {last!r}, where the labels end"
        raise Failure(seen, f"at most {_SLACK}", generation_end.question)


@check(
    "TOK-008",
    "Tokenizing the same rows again gives the same ids, and another answer gives others",
    why="State that remains in a tokenizer or a cache changes the next epoch, or the prompts of a test in the same"
    " process.",
    remedy="Do not change settings of a shared tokenizer, or lists that were returned to a caller; cache by question,"
    " answer and tokenizer.",
)
def tokenizing_again_gives_the_same_ids(
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Ids],
    examples: Sequence[TrainingExample],
    tokenized_again: TokenizedAgain,
    probes: Sequence[TaskRow],
) -> None:
    """TOK-008."""
    for (question, _), old, row in zip(
        (*probes, probes[0]),
        (*examples, examples[0]),
        (*tokenized_again.batch, *tokenized_again.alone),
        strict=True,
    ):
        if row != old:
            raise Failure(
                f"tokenizing the row again gives the ids {row.ids}", f"{old.ids}, as the first time", question
            )
    for (question, _), due, prompt in zip(probes, prompts, tokenized_again.prompts, strict=True):
        if prompt != due:
            seen, text = (repr(decode(tokenizer, ids)) for ids in (prompt, due))
            raise Failure(f"the prompt is {seen}", f"{text}, as before the training batch was built", question)
    for (question, _), old, other in zip(probes, examples, tokenized_again.other_answers, strict=True):
        if other.ids == old.ids:
            raise Failure("another answer to the question gives the same ids", "another target", question)


@check(
    "TOK-009",
    "Only tokens after the prompt have labels",
    level=Level.CONTRACT,
    why="The loss on questions does not help the answers.",
    remedy="Mask the prompt by its number of tokens.",
    depends_on=("TOK-005",),
    source="M5 trl#6105",
)
def only_the_target_is_supervised(
    prompts: Sequence[Ids], examples: Sequence[TrainingExample], probes: Sequence[TaskRow]
) -> None:
    """TOK-009."""
    for (question, _), prompt, row in zip(probes, prompts, examples, strict=True):
        if row.begin != len(prompt):
            raise Failure(
                f"the first label is on token {row.begin}", f"{len(prompt)}, the length of the prompt", question
            )


@check(
    "TOK-010",
    "The target is the value, a closing tag and the end-of-sequence token",
    level=Level.CONTRACT,
    why="Adapters are exchanged between implementations; they fit only if all use one format.",
    remedy=f"Write str(round(value, 3)) + '{CLOSE_TAG}' and the tokenizer's end-of-sequence token.",
    depends_on=("TOK-013",),
)
def targets_have_the_exact_form(
    tokenizer: PreTrainedTokenizerBase, examples: Sequence[TrainingExample], probes: Sequence[TaskRow]
) -> None:
    """TOK-010."""
    for (question, value), row in zip(probes, examples, strict=True):
        _require_text(tokenizer, row, question, format_value(value))


def _require_text(tokenizer: PreTrainedTokenizerBase, row: TrainingExample, question: str, answer: str) -> None:
    text, due = decode(tokenizer, row.ids), f"{question} {OPEN_TAG}{answer}{CLOSE_TAG}{tokenizer.eos_token}"
    if text != due:
        raise Failure(f"the text is {text!r}", repr(due), question)


@check(
    "TOK-015",
    "An answer that is a text is written as it is, with a closing tag and the end-of-sequence token",
    level=Level.CONTRACT,
    why="A text that is escaped, or read as a number, is learned in that form.",
    remedy=f"Write answer.strip() + '{CLOSE_TAG}' and the tokenizer's end-of-sequence token.",
    depends_on=("TOK-010",),
)
def texts_are_written_as_they_are(
    tokenizer: PreTrainedTokenizerBase, text_examples: Mapping[TaskRow, TrainingExample]
) -> None:
    """TOK-015: Uses letters outside ASCII, quotes, markup, and digits with leading zeros."""
    for (question, answer), row in text_examples.items():
        _require_text(tokenizer, row, question, answer)


@check(
    "TOK-011",
    "A question that is too long keeps its whole target",
    level=Level.CONTRACT,
    why="Tokenizers truncate on the right by default, where the answer is.",
    remedy="Truncate the beginning of the prompt.",
    depends_on=("TOK-009",),
)
def long_questions_keep_their_target(
    tokenizer: PreTrainedTokenizerBase, short_and_long: Sequence[TrainingExample]
) -> None:
    """TOK-011."""
    short, long = (tuple(label for label in row.labels if label != IGNORE_INDEX) for row in short_and_long)
    if short != long:
        seen = f"the labelled text is {decode(tokenizer, long)!r}"
        raise Failure(seen, repr(decode(tokenizer, short)), "a question 500 times as long")


@check(
    "TOK-013",
    "The tokenizer at inference knows every token of the training texts",
    why="A token that is added for training and not saved with the tokenizer is spelled out in prompts, and cannot be"
    " decoded in completions.",
    remedy="Save the tokenizer, and the embeddings of new tokens, with the adapter, or add no tokens.",
    source="peft: resize_token_embeddings without modules_to_save",
)
def tokens_are_known_at_inference(
    tokenizer: PreTrainedTokenizerBase, examples: Sequence[TrainingExample], probes: Sequence[TaskRow]
) -> None:
    """TOK-013: Compares ids with the size of the vocabulary."""
    _require_ids_below(len(tokenizer), examples, probes)


def _require_ids_below(size: int, examples: Sequence[TrainingExample], probes: Sequence[TaskRow]) -> None:
    for (question, _), row in zip(probes, examples, strict=True):
        unknown = [each for each in row.ids if each >= size]
        if unknown:
            raise Failure(f"the training text has the id {unknown[0]}", f"ids below {size}", question)


@check(
    "TOK-014",
    "Every token of the training texts has an embedding in the base or the adapter",
    why="The embedding of a new token is a parameter. If it is not saved, loading draws another one.",
    remedy="Save the embedding (modules_to_save, trainable_token_indices), or add no tokens.",
    depends_on=("TOK-013",),
    source="peft: resize_token_embeddings without modules_to_save",
)
def tokens_have_an_embedding(
    examples: Sequence[TrainingExample], embedding_rows: int, probes: Sequence[TaskRow]
) -> None:
    """TOK-014: Compares ids with the rows of the embedding."""
    _require_ids_below(embedding_rows, examples, probes)


@check(
    "TOK-012",
    "Token ids are those of the base's own tokenizer files",
    why="The base knows a token only by its id. If ids differ, or texts are split differently, its knowledge is lost,"
    " even if training and inference agree.",
    remedy="Load the tokenizer from the folder of the base, and do not change its vocabulary or its merges.",
    depends_on=("TOK-004",),
    source="T3 transformers#44618",
)
def ids_are_those_of_the_base(
    examples: Sequence[TrainingExample], base_tokenizer: PreTrainedTokenizerBase, probes: Sequence[TaskRow]
) -> None:
    """TOK-012: Ignores the implementation's tokenizer, and the tokens that it adds."""
    for (question, _), row in zip(probes, examples, strict=True):
        text = decode(base_tokenizer, row.ids)
        if not find_question(question, text):
            raise Failure(f"the base reads the text {text!r}", "a text with the question", question)
        again = encode(base_tokenizer, text)
        same = sum(
            block.size for block in difflib.SequenceMatcher(None, row.ids, again, autojunk=False).get_matching_blocks()
        )
        if same < _SAME_IDS * len(again):
            raise Failure(
                f"{same} of {len(row.ids)} ids are {row.ids}", f"{again}, as the base splits the text", question
            )
