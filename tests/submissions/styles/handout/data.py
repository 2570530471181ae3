import json
from dataclasses import dataclass
from pathlib import Path

DATA_DIR = Path(__file__).parent.parent / "data"


class Dataset:
    def __init__(self, split: str):
        with open(DATA_DIR / f"{split}.json") as f:
            self.data = json.load(f)

    def __len__(self):
        return len(self.data)

    def __getitem__(self, idx):
        return self.data[idx]


def is_answer_valid(answer: float, correct_answer: float, relative_tolerance: float = 0.05) -> bool:
    answer, correct_answer = round(answer, 3), round(correct_answer, 3)
    return abs(answer - correct_answer) < relative_tolerance * abs(correct_answer)


@dataclass
class BenchmarkResult:
    accuracy: float
    answer_rate: float
    samples: list


def benchmark(func, dataset: Dataset, max_question: int) -> BenchmarkResult:
    rows = [dataset[i] for i in range(min(max_question, len(dataset)))]
    answers = func.answer(*[row[0] for row in rows])
    samples = [(q, a, t, is_answer_valid(a, t)) for (q, t), a in zip(rows, answers)]
    return BenchmarkResult(
        accuracy=sum(s[3] for s in samples) / len(samples),
        answer_rate=sum(s[1] == s[1] for s in samples) / len(samples),  # NaN != NaN
        samples=samples,
    )
