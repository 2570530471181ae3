"""Training text and prompt as token ids: which tokens are supervised, where the two diverge, where the answer ends.

Follows TRL's SFTTrainer and the DataCollatorForLanguageModeling of transformers. Needs no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from sft_ref.harness.evidence.dataset.rows import Labels, Parting
from sft_ref.harness.recorders.folder.answers.wording import WordedText, messages_of
from sft_ref.io.rows.forms import Row
from sft_ref.reference.tokens import IGNORE_INDEX

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Ids = tuple[int, ...]

_SHOWN = 4
"""Number of tokens that a message shows of a difference."""

_BROKEN = "\N{REPLACEMENT CHARACTER}"
"""The character that a tokenizer decodes for an incomplete UTF-8 sequence."""

_LONGEST = 8
"""Maximum tokens of one character; longer incomplete sequences are shown by the tokens' vocabulary names."""


@dataclass(frozen=True)
class EncodedText:
    """A training text and its prompt as token ids.

    Attributes:
        ids: ids of the training text.
        prompt: ids of the prompt; empty if the row does not mark where its answer begins.
        offsets: index in the text at which each token begins; None if the tokenizer does not provide offsets.
    """

    ids: Ids
    prompt: Ids
    offsets: Ids | None

    @property
    def shared(self) -> int:
        """Number of leading tokens that prompt and training text have in common."""
        pairs = zip(self.prompt, self.ids, strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def encode(text: WordedText, tokenizer: PreTrainedTokenizerBase) -> EncodedText:
    """Tokenizes the training text in one piece, as trainers do, and the prompt separately, as at inference."""
    add = not text.complete
    fast = bool(tokenizer.is_fast)
    made: Any = tokenizer(text.whole, add_special_tokens=add, return_offsets_mapping=fast)
    prompt = tokenizer(text.prompt, add_special_tokens=add)["input_ids"] if text.prompt else []
    offsets = tuple(begin for begin, _ in made["offset_mapping"]) if fast else None
    return EncodedText(tuple(made["input_ids"]), tuple(prompt), offsets)


def label(
    encoded: EncodedText, how: Labels, tokenizer: PreTrainedTokenizerBase, *, template: str | None, row: Row
) -> Ids:
    """Returns the label of each token of the training text: the token itself, or -100.

    Args:
        encoded: the tokenized text.
        how: which tokens are supervised.
        tokenizer: tokenizer of the text.
        template: chat template that formatted the text; None if none was used.
        row: row that the text was made from.
    """
    if how == "completion":
        kept = [n >= len(encoded.prompt) for n in range(len(encoded.ids))]
    elif how == "collator":
        kept = [each != tokenizer.pad_token_id for each in encoded.ids]
    elif how == "assistant" and template is not None:
        kept = _marked(row, template, tokenizer)
    else:
        kept = [True] * len(encoded.ids)
    return tuple(each if is_kept else IGNORE_INDEX for each, is_kept in zip(encoded.ids, kept, strict=True))


def _marked(row: Row, template: str, tokenizer: PreTrainedTokenizerBase) -> list[bool]:
    made: Any = tokenizer.apply_chat_template(
        messages_of(row, answer=True),
        chat_template=template,
        tokenize=True,
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    return [bool(each) for each in made["assistant_masks"]]


def can_tell_end(text: WordedText, encoded: EncodedText) -> bool:
    """Returns whether the answer's position in the text is known and the tokenizer provides offsets."""
    return text.answer_end is not None and encoded.offsets is not None


def special_ids(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Returns the ids of the tokens that stand for no text."""
    added: Any = tokenizer.added_tokens_decoder
    return {*tokenizer.all_special_ids, *(number for number, token in added.items() if token.special)}


def find_end(text: WordedText, encoded: EncodedText, tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Returns the index of the special token that ends the answer; None if there is none or the position is unknown."""
    if text.answer_end is None or encoded.offsets is None:
        return None
    special = special_ids(tokenizer)
    places = enumerate(zip(encoded.ids, encoded.offsets, strict=True))
    return next((n for n, (each, begin) in places if each in special and begin >= text.answer_end), None)


def find_parting(text: WordedText, encoded: EncodedText, tokenizer: PreTrainedTokenizerBase) -> Parting | None:
    """Returns where the prompt diverges from the training text; None if it is a prefix, token by token."""
    shared, prompt = encoded.shared, encoded.prompt
    if shared == len(prompt):
        return None
    is_last = shared == len(prompt) - 1
    ends = prompt[-1] == tokenizer.eos_token_id and not text.prompt.endswith(str(tokenizer.eos_token))
    pattern = "ended" if is_last and ends else "joined" if text.whole.startswith(text.prompt) else "other"
    sent, due = (decode(ids[shared : shared + _SHOWN], tokenizer) for ids in (prompt, encoded.ids))
    return Parting(shared, len(prompt), sent, due, pattern)  # type: ignore[arg-type]


def decode(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> str:
    """Decodes tokens as they appear within a text, with the spaces at their edges."""
    parts: list[str] = []
    begin = 0
    for end in range(1, len(ids) + 1):
        whole = _plain(ids[begin:end], tokenizer)
        if _BROKEN not in whole or end - begin == _LONGEST or end == len(ids):
            is_one = end - begin == 1 or _BROKEN in whole
            parts += [token_text(each, tokenizer) for each in ids[begin:end]] if is_one else [whole]
            begin = end
    return "".join(parts)


def _plain(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))


def token_text(number: int, tokenizer: PreTrainedTokenizerBase) -> str:
    """Decodes a token as it appears within a text; for a part of a character, returns its name in the vocabulary."""
    name = str(tokenizer.convert_ids_to_tokens(number))
    if "\N{LOWER ONE EIGHTH BLOCK}" in name:  # SentencePiece's mark for a space, which decoding a single token drops
        return name.replace("\N{LOWER ONE EIGHTH BLOCK}", " ")
    text = _plain([number], tokenizer)
    return name if _BROKEN in text else text
