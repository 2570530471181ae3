"""Compares the tokenizer and chat template of a GGUF file with those of the base model, by token ids."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_ref.errors import BaseModelError, SubmissionError
from sft_ref.harness.evidence.exported.gguf import GgufEvidence, Rendering, TokenDifference, Vocabulary
from sft_ref.io.base_config import GENERATION_CONFIG, TOKENIZER_CONFIG
from sft_ref.io.foreign import is_failure
from sft_ref.io.reading import Refusal, UnreadableError, kind_of, read_json
from sft_ref.reference.bases.find import find_base
from sft_ref.reference.models import load_tokenizer

from .metadata import read_metadata

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_KEY = "tokenizer.ggml."
_TEMPLATE = "tokenizer.chat_template"
_ARCHITECTURE = "general.architecture"
_ROLES = ("bos", "eos")
"""Special tokens that are compared, by the names that the metadata and transformers share."""
_STOPS = ("eos", "eot", "eom")
"""Tokens at which llama.cpp stops, by their names in the metadata."""
_SPECIAL = (2, 3, 4)
"""Token types that are never split as text: unknown, control, user-defined."""

_WANTED = frozenset(
    {_TEMPLATE, _ARCHITECTURE}
    | {f"{_KEY}{name}_token_id" for name in (*_ROLES, *_STOPS)}
    | {f"{_KEY}{name}" for name in ("model", "pre", "tokens", "token_type", "merges", "add_bos_token", "add_eos_token")}
)

_ANSWER = "Paris"
_USER = {"role": "user", "content": "What is the capital of France?"}
_CONVERSATIONS: tuple[tuple[dict[str, str], ...], ...] = (
    (_USER,),
    ({"role": "system", "content": "Be brief."}, _USER),
    (_USER, {"role": "assistant", "content": _ANSWER}, {"role": "user", "content": "And of Italy?"}),
)
_EXAMPLES = 10
_SPACE = "\u2581"
"""The character that SentencePiece tokens contain in place of a space."""


def record(file: Path, *, base: str | None) -> GgufEvidence:
    """Records the metadata of a GGUF file; only the chat template is executed, in Jinja's sandbox.

    Args:
        file: GGUF file to examine.
        base: name or folder of the base model, or a folder with only its tokenizer.

    Raises:
        SubmissionError: the file cannot be read, or no base is given.
        BaseModelError: the base model is not available, or has no tokenizer.
    """
    if base is None:
        raise SubmissionError(f"{file}: is a GGUF file; give --base, the base or the folder of its tokenizer")
    try:
        table = read_metadata(file, _WANTED)
    except UnreadableError as error:
        raise SubmissionError(f"{file}: cannot be read ({error}); copy or convert it again") from error
    folder = Path(base) if kind_of(Path(base) / TOKENIZER_CONFIG) == "file" else find_base(base)
    tokenizer = load_tokenizer(folder)
    expected, found = _template_of(tokenizer), table.get(_TEMPLATE)
    renderings = _render_all(tokenizer, found, expected) if isinstance(found, str) and expected else ()
    adds = _adds(table, tokenizer)
    special = {role: (_id(table, role), _id_of(tokenizer, role)) for role in _ROLES}
    turn_ends = _turn_end(tokenizer, expected) if expected else None
    stops = tuple(dict.fromkeys(number for name in _STOPS if (number := _id(table, name)) is not None))
    stops_of_base = _stops_of(folder, tokenizer)
    tokens = table.get(f"{_KEY}tokens")
    named = {number for pair in special.values() for number in pair} | {turn_ends, *stops, *stops_of_base}
    first = _text(tokens, special["bos"][0])
    return GgufEvidence(
        file=file.name,
        base=base,
        architecture=str(table.get(_ARCHITECTURE, ""))[:80],
        vocabulary=_compare_tokens(table, tokenizer) if _is_texts(tokens) else None,
        special=special,
        adds=adds,
        has_template=isinstance(found, str),
        expects_template=expected is not None,
        renderings=renderings,
        begins_twice=bool(adds["bos"][0] and first and any(each.found.startswith(first) for each in renderings)),
        turn_ends=turn_ends,
        stops=stops,
        stops_of_base=stops_of_base,
        texts={str(number): _text_of(tokenizer, number) for number in named if number is not None},
    )


def _compare_tokens(table: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> Vocabulary:
    tokens: list[str] = table[f"{_KEY}tokens"]
    due = {number: token for token, number in tokenizer.get_vocab().items()}
    different = [
        TokenDifference(number, _text(tokens, number), token)
        for number, token in sorted(due.items())
        if _plain(_text(tokens, number)) != _plain(token)
    ]
    kinds = table.get(f"{_KEY}token_type", [])
    special = sorted(number for number in tokenizer.all_special_ids if number < len(tokens))
    ordinary = [due[number] for number in special if len(kinds) > number and kinds[number] not in _SPECIAL]
    merges: Any = table.get(f"{_KEY}merges")
    return Vocabulary(
        count=len(tokens),
        expected=max(due, default=-1) + 1,
        different=len(different),
        examples=tuple(different[:_EXAMPLES]),
        ordinary=tuple(ordinary),
        merges=_compare_merges(merges, tokenizer) if _is_texts(merges) else None,
        pre=str(table.get(f"{_KEY}pre", ""))[:80],
        has_merges=bool(merges),
    )


def _compare_merges(found: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> str | None:
    """Describes the first difference as a clause; None if the base model's tokenizer does not merge pairs."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    table = json.loads(backend.to_str())["model"] if backend is not None else {}
    due = table.get("merges")
    if not isinstance(due, list):
        return None
    for at, (one, other) in enumerate(zip_longest(found, due)):
        expected = " ".join(other) if isinstance(other, list) else other
        if one != expected:
            return f"merge {at} is {one!r}, and {expected!r} in the base's tokenizer"
    return ""


def _adds(table: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> dict[str, tuple[bool | None, bool]]:
    """Returns whether BOS is added before and EOS after each text: for each role, by the file and by the base model."""
    ids = list(tokenizer("a")["input_ids"])
    due = {"bos": ids[:1] == [tokenizer.bos_token_id], "eos": ids[-1:] == [tokenizer.eos_token_id]}
    found = {role: table.get(f"{_KEY}add_{role}_token") for role in due}
    return {role: (each if isinstance(each, bool) else None, due[role]) for role, each in found.items()}


def _template_of(tokenizer: PreTrainedTokenizerBase) -> str | None:
    template = tokenizer.chat_template
    if isinstance(template, dict):
        template = template.get("default")
    return template if isinstance(template, str) else None


def _render_all(tokenizer: PreTrainedTokenizerBase, found: str, expected: str) -> tuple[Rendering, ...]:
    """Renders, with both templates, each conversation that the base model's template accepts."""
    renderings = []
    for messages in _CONVERSATIONS:
        due, reason = _render(tokenizer, messages, expected, prompt=True)
        if not reason:
            text, problem = _render(tokenizer, messages, found, prompt=True)
            roles = tuple(message["role"] for message in messages)
            first = None if problem else _first_difference(tokenizer, text, due)
            renderings.append(Rendering(roles, text[:2000], due[:2000], first, problem))
    return tuple(renderings)


def _render(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[dict[str, str]], template: str, *, prompt: bool
) -> tuple[str, str]:
    """Renders a conversation; returns the text and, on failure, the reason."""
    try:
        text = tokenizer.apply_chat_template(
            list(messages), chat_template=template, tokenize=False, add_generation_prompt=prompt
        )
    except BaseException as error:  # a foreign template may break in any way
        if not is_failure(error):
            raise
        return "", " ".join(str(error).split())[:200] or type(error).__name__
    return str(text), ""


def _first_difference(tokenizer: PreTrainedTokenizerBase, found: str, expected: str) -> int | None:
    one, other = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (found, expected))
    return next((at for at, pair in enumerate(zip_longest(one, other)) if pair[0] != pair[1]), None)


def _turn_end(tokenizer: PreTrainedTokenizerBase, template: str) -> int | None:
    """Returns the first special token after an answer."""
    text, problem = _render(tokenizer, (_USER, {"role": "assistant", "content": _ANSWER}), template, prompt=False)
    if problem or _ANSWER not in text:
        return None
    ids = tokenizer(text.rpartition(_ANSWER)[2], add_special_tokens=False)["input_ids"]
    special = {*tokenizer.all_special_ids, *getattr(tokenizer, "added_tokens_decoder", {})}
    return next((number for number in ids if number in special), None)


def _stops_of(folder: Path, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Returns the stop tokens of transformers: those of generation_config.json, or else the tokenizer's EOS token."""
    path = folder / GENERATION_CONFIG
    due = None
    if kind_of(path) == "file":
        due = read_json(path, dict[str, Any], Refusal(BaseModelError, "copy the folder again")).get("eos_token_id")
    several = due if isinstance(due, list) else [tokenizer.eos_token_id if due is None else due]
    return tuple(each for each in several if isinstance(each, int))


def _id(table: Mapping[str, Any], name: str) -> int | None:
    value = table.get(f"{_KEY}{name}_token_id")
    return value if isinstance(value, int) and 0 <= value < 2**31 else None


def _id_of(tokenizer: PreTrainedTokenizerBase, role: str) -> int | None:
    value = getattr(tokenizer, f"{role}_token_id")
    return value if isinstance(value, int) else None


def _text_of(tokenizer: PreTrainedTokenizerBase, number: int) -> str:
    """Returns the text of a token in the base model's tokenizer; empty if the tokenizer does not have it."""
    return str(tokenizer.convert_ids_to_tokens(number) or "") if number < len(tokenizer) else ""


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _text(tokens: object, number: int | None) -> str:
    """Returns the text of a token; empty if the list is too short."""
    return tokens[number] if isinstance(tokens, list) and number is not None and number < len(tokens) else ""


def _plain(token: str) -> str:
    """Replaces the SentencePiece space mark by a space, because some converters do so too."""
    return token.replace(_SPACE, " ")
