"""What is known of a bare adapter: frozen parts, one after the other; a part that could not be observed is None."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sft_ref.harness.core.sizes import UNLIMITED, Size, SizeLimits
from sft_ref.io.lora_config import AdapterConfig

from .answers import AnswersEvidence
from .beside import Beside
from .differences import Difference
from .expected import Expected
from .files import Files
from .loading import Values
from .tokenizers import Tokens


@dataclass(frozen=True)
class Loaded:
    """What the adapter does, loaded by peft in fp32.

    Attributes:
        problem: why peft does not load it; empty where it does. Nothing else is known then.
        moved: how far the adapter moves a logit of random tokens, at most.
        largest: the largest logit with the adapter, which rounding is measured by.
        finite: dtype -> whether all logits are finite in it; of 16 bits only where the base's own are.
        stored: the base's own dtype.
        apart: how far logits lie from those of the weights that the adapter stands for; None where not computed.
        not_computed: why not.
        first_apart: the first module whose output differs; empty where none does.
    """

    problem: str = ""
    moved: float = 0.0
    largest: float = 0.0
    finite: Mapping[str, bool] = field(default_factory=dict)
    stored: str = "float32"
    apart: float | None = None
    not_computed: str = ""
    first_apart: str = ""


@dataclass(frozen=True)
class Record:
    """What the record beside an adapter says against the folder.

    Attributes:
        contradictions: each in a clause; none where folder and record agree.
    """

    contradictions: tuple[str, ...]


@dataclass
class Evidence:
    """One adapter folder; only `stage` is written after the recorder is done.

    Attributes:
        stage: of the check that is running; the runner sets it.
        files: where its tensors lie, and their headers.
        named: folders in it that hold another adapter each.
        config: as it is understood; None where `config_problem` says why not.
        config_problem: why the configuration cannot be used.
        expected: the tensors that the configuration gives on the base; None where `refusal` says why not.
        refusal: why peft does not put the configuration on the base.
        differences: the patterns by which the tensors differ from those expected.
        values: tensor -> what its numbers are like; None where they cannot be read.
        tokens: what is to be known of the tokenizer.
        beside: a whole model in the same folder.
        record: of sft_ref, beside the adapter.
        loaded: what the adapter does; None where the folder is not such that it can be loaded.
        size: of adapter, folder and model; None where the base was not looked at.
        limits: of size.
        answers: what the rows of --data and the text of --prompt show; None without them.
    """

    files: Files
    named: tuple[str, ...] = ()
    config: AdapterConfig | None = None
    config_problem: str = ""
    expected: Expected | None = None
    refusal: str = ""
    differences: tuple[Difference, ...] = ()
    values: Mapping[str, Values] | None = None
    tokens: Tokens | None = None
    beside: Beside | None = None
    record: Record | None = None
    loaded: Loaded | None = None
    size: Size | None = None
    limits: SizeLimits = UNLIMITED
    answers: AnswersEvidence | None = None
    stage: str = ""
