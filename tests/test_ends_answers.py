"""A trained model whose texts end with a labelled end token has to write it."""

from types import SimpleNamespace
from typing import Any

from sft_ref import BaseLLM
from sft_ref.harness.core.training_examples import TrainingExample
from sft_ref.harness.instruments.convention import find_convention, read_texts
from sft_ref.harness.recorders.submission.trained import Trained
from sft_ref.reference.data import split_rows
from sft_ref.reference.tokens import IGNORE_INDEX, tokenize_example

ROWS, QUESTIONS = split_rows("train")[:16], split_rows("validation")[:8]


def ends(llm: BaseLLM, *, is_labelled: bool = True) -> bool:
    examples = []
    for question, value in ROWS:
        made = tokenize_example(llm.tokenizer, question, value)
        labels = [IGNORE_INDEX] * (len(made.input_ids) - made.supervised) + [*made.input_ids[-made.supervised :]]
        if not is_labelled:
            labels[-1] = IGNORE_INDEX
        examples.append(TrainingExample(tuple(made.input_ids), tuple(labels)))
    texts = read_texts(examples, ROWS, llm.tokenizer)
    parts: dict[str, Any] = {"texts": texts, "convention": find_convention(texts), "questions": QUESTIONS}
    own = SimpleNamespace(tokenizer=llm.tokenizer, trained_model=llm.model, **parts)
    return bool(vars(Trained)["ends_answers"].func(own))


def test_the_toy_ends_its_answers_and_its_base_does_not(toy_llm: BaseLLM, blank_toy: BaseLLM) -> None:
    assert ends(toy_llm)
    assert not ends(blank_toy)


def test_an_end_without_a_label_is_not_expected(blank_toy: BaseLLM) -> None:
    assert ends(blank_toy, is_labelled=False)
