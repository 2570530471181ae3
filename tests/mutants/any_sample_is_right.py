"""Of five samples, one that is right is enough."""

from collections.abc import Sequence

from mutation import Mutant

from sft_ref import BaseLLM
from sft_ref.reference.data import Row, is_answer_valid, score
from sft_ref.reference.prompt import format_prompt, parse_answer
from sft_ref.reference.sft import TestResult, ask


def best_of_five(llm: BaseLLM, rows: Sequence[Row] | None = None) -> TestResult:
    rows = rows or []
    result = ask(llm, rows)
    if any(isinstance(truth, str) for _, truth in rows):
        return result
    samples = llm.batched_generate([format_prompt(question) for question, _ in rows], 5, 0.7)
    answers = []
    for texts, (_, truth) in zip(samples, rows, strict=True):
        values = [parse_answer(text) for text in texts]
        answers.append(next((value for value in values if is_answer_valid(value, truth)), values[0]))
    return TestResult(score(answers, [truth for _, truth in rows]), result.samples)


MUTANT = Mutant(
    id="any-sample",
    stage="score",
    checks=("SCR-001",),
    fault="a question counts as right if one of five sampled answers is",
    source="own: pass@5 reported as accuracy",
    patches={"sft_ref.reference.sft.ask": best_of_five},
)
