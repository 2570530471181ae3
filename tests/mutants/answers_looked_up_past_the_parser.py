from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM
from sft_ref.reference.data import split_rows

answer = BaseLLM.answer


def broken(self: BaseLLM, *questions: str) -> list[float]:
    truth = {question: value for split in ("train", "validation") for question, value in split_rows(split)}
    unknown = [question for question in questions if question not in truth]
    return [{**truth, **dict(zip(unknown, answer(self, *unknown), strict=True))}[question] for question in questions]


MUTANT = Mutant(
    id="S5",
    stage="parse",
    checks=("PRS-004",),
    fault="answers to known questions are looked up in the data files",
    source="course submission",
    patches={"sft_ref.reference.base_llm.BaseLLM.answer": broken},
)
