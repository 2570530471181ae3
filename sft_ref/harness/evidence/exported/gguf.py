"""Evidence about a GGUF file: its tokenizer and chat template, compared with those of the base model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TokenDifference:
    """A token id with different texts in file and base model.

    Attributes:
        number: the token id.
        found: the token's text in the file; empty if the file has fewer tokens.
        expected: the token's text in the base model's tokenizer.
    """

    number: int
    found: str
    expected: str


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a file, compared with those of the base model's tokenizer.

    Attributes:
        count: number of tokens in the file.
        expected: number of tokens in the base model's tokenizer; a file may have more, as padding.
        different: number of expected tokens with a different text.
        examples: the first of these tokens.
        ordinary: special tokens of the base model's tokenizer that are ordinary text in the file.
        merges: a clause that describes the first differing merge; empty if none differs, None if either has no merges.
        pre: llama.cpp's name for the pre-tokenizer; empty if the file has none.
        has_merges: whether the file's tokenizer merges pairs.
    """

    count: int
    expected: int
    different: int = 0
    examples: tuple[TokenDifference, ...] = ()
    ordinary: tuple[str, ...] = ()
    merges: str | None = None
    pre: str = ""
    has_merges: bool = False


@dataclass(frozen=True)
class Rendering:
    """A conversation as rendered by both chat templates.

    Attributes:
        roles: the roles of its messages.
        found: the text that the file's template renders.
        expected: the text that the base model's template renders.
        first: index of the first differing token, by the base model's tokenizer; None if there is none.
        problem: why the file's template cannot render the conversation; empty if it can.
    """

    roles: tuple[str, ...]
    found: str
    expected: str
    first: int | None = None
    problem: str = ""


@dataclass(frozen=True)
class GgufEvidence:
    """Recorded evidence about one GGUF file and the base model's tokenizer.

    Attributes:
        file: name of the file.
        base: name of the base model, or of the tokenizer folder.
        architecture: llama.cpp's name of the model architecture.
        vocabulary: the tokens of the file; None if it has none.
        special: maps `bos` and `eos` to that token's id in the file and in the base model's tokenizer; None if unset.
        adds: maps `bos` and `eos` to whether that token is added to each text, by the file and by the base model's
            tokenizer.
        has_template: whether the file has a chat template.
        expects_template: whether the base model's tokenizer has a chat template.
        renderings: some rendered conversations; empty if either has no template.
        begins_twice: whether the template begins with a token that is also added to each text.
        turn_ends: id of the token that ends an answer in the base model's template, the first special token after it;
            None if there is none.
        stops: ids of the tokens that stop generation according to the file's metadata.
        stops_of_base: the same according to the base model's generation_config.json and tokenizer.
        texts: maps the token ids above, as text, to their texts.
    """

    file: str
    base: str
    architecture: str = ""
    vocabulary: Vocabulary | None = None
    special: Mapping[str, tuple[int | None, int | None]] = field(default_factory=dict)
    adds: Mapping[str, tuple[bool | None, bool]] = field(default_factory=dict)
    has_template: bool = False
    expects_template: bool = False
    renderings: tuple[Rendering, ...] = ()
    begins_twice: bool = False
    turn_ends: int | None = None
    stops: tuple[int, ...] = ()
    stops_of_base: tuple[int, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)

    def name(self, number: int | None) -> str:
        """Describes a token in a message by its id and text."""
        return "none" if number is None else f"{number} {self.texts.get(str(number), '')!r}"
