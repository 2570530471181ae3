import math

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM
from sft_ref.reference.data import split_rows

answer = BaseLLM.answer


def broken(self: BaseLLM, *questions: str) -> list[float]:
    truth = {question: value for split in ("train", "validation") for question, value in split_rows(split)}
    answers = zip(questions, answer(self, *questions), strict=True)
    return [truth.get(question, value) if math.isnan(value) else value for question, value in answers]


MUTANT = Mutant(
    id="S5-nan",
    stage="parse",
    checks=("PRS-004",),
    fault="where the parser reads no number, the truth is looked up",
    source="course submission",
    patches={"sft_ref.reference.base_llm.BaseLLM.answer": broken},
)
