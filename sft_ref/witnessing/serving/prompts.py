"""Converts token ids to texts and back, for servers that only support texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .protocol import Token

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_DAMAGED = "\ufffd"
"""Replaces bytes in a text that are only a part of a character."""


class TokenNames:
    """The texts that servers may use as names of tokens.

    Args:
        tokenizer: the tokenizer of the training; None if there is none, and then only ids are understood.
        ids: ids of the tokens to recognise.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase | None, ids: Iterable[int]) -> None:
        self._forms: dict[int, set[str]] = {}
        owners: dict[str, set[int]] = {}
        for each in set(ids) if tokenizer is not None else ():
            self._forms[each] = forms_of(tokenizer, each)
            for form in self._forms[each]:
                owners.setdefault(form, set()).add(each)
        self._ids = {form: next(iter(own)) for form, own in owners.items() if len(own) == 1}

    def id_of(self, token: Token) -> int | None:
        """Returns the token's id; None for a text that names none of the tokens, or several."""
        return token if isinstance(token, int) else self._ids.get(token)

    def is_same(self, token: Token, due: int) -> bool:
        """Whether a server's token may be the one with that id; True if the texts do not decide it."""
        if isinstance(token, int):
            return token == due
        forms = self._forms.get(due)
        return not forms or _DAMAGED in token or token.strip() in {form.strip() for form in forms}


def forms_of(tokenizer: Any, number: int) -> set[str]:  # noqa: ANN401
    """Returns a token's texts: decoded, and as in the vocabulary; empty if it is a part of a character."""
    raw = tokenizer.convert_ids_to_tokens(number)
    decoded = tokenizer.decode([number], skip_special_tokens=False, clean_up_tokenization_spaces=False)
    if raw is None or _DAMAGED in decoded:
        return set()
    return {decoded, raw, raw.replace("\u2581", " ")}


def text_of(tokenizer: Any, ids: Sequence[int]) -> str | None:  # noqa: ANN401
    """Returns the text that is tokenized to these ids, including added special tokens; None if there is none."""
    whole = [*ids]
    begin = 1 if whole and whole[0] == tokenizer.bos_token_id else 0
    for first in {0, begin}:
        text: str = tokenizer.decode(whole[first:], skip_special_tokens=False, clean_up_tokenization_spaces=False)
        if list(tokenizer(text)["input_ids"]) == whole:
            return text
    return None
