"""The toy's pre-training corpus: documents with every unit fact, but no question answered in the task's tags.

After a question, bare numbers are in prose or in other tags; answer tags contain words there ("about 12.0").
Answer tags contain a bare number only if no question precedes. So the toy has the knowledge and the parts of
the format, and fine-tuning has to combine them, as with SmolLM2.
Independent of tokens and models.
"""

import random
from collections.abc import Iterator

from sft_ref.reference.data import Row, split_rows
from sft_ref.reference.prompt import CLOSE_TAG, OPEN_TAG, format_prompt, format_value
from sft_ref.reference.questions import generate_rows

END_OF_TEXT, START_OF_TURN, END_OF_TURN = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SYSTEM_PROMPT = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"

_LEADS = ("about", "it is", "that makes", "I say", "I get", "roughly", "exactly", "this is")
_LINKS = ("", "", "", "", " =", " ->", "\nAnswer:", "\nA:", " That is", " It is", " The result:")
_TAILS = (" in all", " in total", " overall", " or so", " altogether")
_TAGS = ("b", "i", "value", "result", "number", "q", "code")
_WORDS = (
    *("yes", "no", "red", "green", "blue", "warm", "cold", "north", "south", "a long way", "not much"),
    *("many", "few", "some", "half of it", "nothing", "who knows", "it depends", "see above", "none", "a lot"),
)
_TOPICS = ("the sea", "a clock", "the road", "rain", "a garden", "bread", "the moon", "music", "a river")


def documents(seed: int) -> Iterator[str]:
    """Yields documents, the same for the same seed, each including its end token.

    They contain no question of either split, and each uses a new one.

    Raises:
        RuntimeError: hardly any new question is left, so that `generate_rows` has ended.
    """
    rng = random.Random(seed)
    held_out = {question for split in ("train", "validation") for question, _ in split_rows(split)}
    rows = (row for row in generate_rows(seed) if row[0] not in held_out)
    while True:
        (write,) = rng.choices(list(_SHARES), list(_SHARES.values()))
        yield write(rng, next(rows))


def _prose(rng: random.Random, row: Row) -> str:
    question, value = row
    return f"{question}{rng.choice(_LINKS)} {format_value(value)}{rng.choice(_TAILS)}{END_OF_TEXT}"


def _other_tag(rng: random.Random, row: Row) -> str:
    question, value = row
    tag = rng.choice(_TAGS)
    return f"{question} <{tag}>{format_value(value)}</{tag}>{END_OF_TEXT}"


def _dialogue(rng: random.Random, row: Row) -> str:
    question, value = row
    number, tag = format_value(value), rng.choice(_TAGS)
    answer = rng.choice(
        (
            f"{rng.choice(_LEADS).capitalize()} {number}{rng.choice(_TAILS)}",
            f"<{tag}>{number}</{tag}>",
            f"{OPEN_TAG}{rng.choice(_WORDS)}{CLOSE_TAG}",
        )
    )
    turns = (("system", SYSTEM_PROMPT), ("user", question), ("assistant", answer))
    return "".join(f"{START_OF_TURN}{role}\n{content}{END_OF_TURN}\n" for role, content in turns)


def _words_in_tags(rng: random.Random, row: Row) -> str:
    question, value = row
    link = rng.choice(("", "", "\nAnswer:"))
    words = rng.choice((rng.choice(_WORDS), f"{rng.choice(_LEADS)} {format_value(value)}"))
    return f"{format_prompt(question + link)}{words}{CLOSE_TAG}{END_OF_TEXT}"


def _tagged_number(rng: random.Random, row: Row) -> str:
    number = rng.choice((row[1], -row[1], rng.random() * 10 ** rng.randint(-6, 12)))
    text = rng.choice((format_value(number), f"{number:.3g}"))
    return f"{OPEN_TAG}{text}{CLOSE_TAG}{END_OF_TEXT}"


def _tagged_words(rng: random.Random, row: Row) -> str:
    return f"Tell me about {rng.choice(_TOPICS)}. {OPEN_TAG}{rng.choice(_WORDS)}{CLOSE_TAG}{END_OF_TEXT}"


# In percent.
_SHARES = {
    _prose: 38,
    _other_tag: 27,
    _words_in_tags: 16,
    _dialogue: 11,
    _tagged_number: 5,
    _tagged_words: 3,
}
