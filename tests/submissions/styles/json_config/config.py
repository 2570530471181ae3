from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class SFTConfig:
    """Everything one might want to change."""

    checkpoint: str = "HuggingFaceTB/SmolLM2-360M-Instruct"
    seed: int = 3
    # data
    max_length: int = 96
    # lora
    rank: int = 12
    alpha: int = 24
    dropout: float = 0.0
    target_modules: str | list[str] = "all-linear"
    # optimisation
    learning_rate: float = 3e-3
    steps: int = 120
    batch_size: int = 32
    warmup_steps: int = 10
    # generation
    max_new_tokens: int = 32
    generation_batch: int = 16
    eval_questions: int = 100
    output_dir: Path = field(default_factory=lambda: Path(__file__).parent / "sft_model")


CONFIG = SFTConfig()
