"""What can be observed of a GGUF file: its tokenizer and chat template, beside those of the base."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TokenDifference:
    """A token that another text stands for.

    Attributes:
        number: of the token.
        found: its text in the file; empty where it ends before.
        expected: its text in the base's tokenizer.
    """

    number: int
    found: str
    expected: str


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a file, beside those of the base's tokenizer.

    Attributes:
        count: of the file's tokens.
        expected: the number of tokens of the base's tokenizer; a file may have more, as padding.
        different: how many of the expected tokens have another text.
        examples: the first of them.
        ordinary: special tokens of the base's tokenizer that are ordinary text in the file.
        merges: the first merge of pairs that differs, a clause; empty where none does, None where one of both has none.
        pre: how text is split before it is merged, by llama.cpp's name; empty where the file does not say.
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
    """A conversation as both chat templates render it.

    Attributes:
        roles: of its messages.
        found: what the file's template makes of it.
        expected: what the base's makes of it.
        first: the number of the first token that differs, by the base's tokenizer; None where none does.
        problem: why the file's template cannot render it; empty where it can.
    """

    roles: tuple[str, ...]
    found: str
    expected: str
    first: int | None = None
    problem: str = ""


@dataclass(frozen=True)
class GgufEvidence:
    """One GGUF file, with the tokenizer of the base.

    Attributes:
        file: its name.
        base: name of the base, or of the folder of the tokenizer.
        architecture: of the model, by llama.cpp's name.
        vocabulary: its tokens; None where the file has none.
        special: role, `bos` or `eos` -> number of the token in the file and in the base's tokenizer; None where unset.
        adds: role, `bos` or `eos` -> whether it is added to each text, in the file and by the base's tokenizer.
        has_template: whether the file has a chat template.
        expects_template: whether the base's tokenizer has one.
        renderings: of some conversations; empty where one of both has no template.
        begins_twice: whether the template begins with the token that is added to each text as well.
        turn_ends: tokens that end an answer by the base's template: the first special one after it; None where there
            is none.
        stops: tokens at which generation stops by the file's metadata.
        stops_of_base: the same by the base's generation_config.json and tokenizer.
        texts: number of a token -> its text, of those before.
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
        """A token for a message: its number and text."""
        return "none" if number is None else f"{number} {self.texts.get(str(number), '')!r}"
