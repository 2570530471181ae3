from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class ModelSettings:
    name: str = "HuggingFaceTB/SmolLM2-135M-Instruct"
    rank: int = 8
    alpha: int = 32
    dropout: float = 0.0
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class DataSettings:
    max_length: int = 128
    instruction: str = "Convert the units."
    decimals: int = 3


@dataclass(frozen=True)
class TrainSettings:
    learning_rate: float = 3e-3
    epochs: int = 5
    batch_size: int = 32
    warmup_ratio: float = 0.1
    seed: int = 7
    log_every: int = 10


@dataclass(frozen=True)
class Settings:
    model: ModelSettings = field(default_factory=ModelSettings)
    data: DataSettings = field(default_factory=DataSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    artifact: Path = Path(__file__).parent / "sft_model"

    def as_dict(self) -> dict:
        return asdict(self) | {"artifact": str(self.artifact)}


SETTINGS = Settings()
