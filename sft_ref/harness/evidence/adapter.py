"""What can be observed of an adapter folder over its base. A part that could not be observed is None."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sft_ref.harness.core.findings import Unavailable
from sft_ref.harness.core.sizes import UNLIMITED, Size, SizeLimits
from sft_ref.io.lora_config import PICKLE, AdapterConfig
from sft_ref.io.tensor_headers import Shape, TensorHeader

from .answers import AnswersEvidence
from .views import ChatTemplate, MeasuredSize, NonfiniteLogits, SavedValues, StopContract, TensorValues


@dataclass(frozen=True)
class AdapterFiles:
    """The files of one adapter.

    Attributes:
        folder: of the adapter.
        weights: the safetensors files, in order: one, or the shards.
        shards: the number of shards by the index, or else by their names; 0 where there are none.
        index: tensor -> file name of its shard; None without an index.
        missing: file names of shards that are not there.
        has_pickle: whether the folder holds `adapter_model.bin`.
        damage: why a file cannot be read; empty where all can.
        headers: tensor -> its header, of all files.
    """

    folder: Path
    weights: tuple[Path, ...] = ()
    shards: int = 0
    index: Mapping[str, str] | None = None
    missing: tuple[str, ...] = ()
    has_pickle: bool = False
    damage: str = ""
    headers: Mapping[str, TensorHeader] = field(default_factory=dict)

    @property
    def shapes(self) -> dict[str, Shape]:
        """Tensor -> shape."""
        return {name: header.shape for name, header in self.headers.items()}

    def check_readable(self) -> None:
        """Raises `Unavailable` where there are no tensors that can be read."""
        if not self.weights and self.has_pickle:
            raise Unavailable(f"{PICKLE} is a pickle, which is not opened")


@dataclass(frozen=True)
class Place:
    """A parameter of the base that a pair of low-rank matrices adds to.

    Attributes:
        path: of the pair, as in the names of its tensors; `base_layer` tells wrappers around one module apart.
        module: of the base.
        parameter: of the module.
        key: the name that rank_pattern and alpha_pattern match.
        scaling: the factor by which peft multiplies the pair.
    """

    path: str
    module: str
    parameter: str
    key: str
    scaling: float


@dataclass(frozen=True)
class ExpectedTensors:
    """The tensors that peft makes of the configuration on the base.

    Attributes:
        required: tensor -> shape, of all that peft saves.
        optional: tensor -> shape, of whole weights of the base that peft loads where the file has them, such as the
            embedding and head of a resized vocabulary.
        modules: module of the base -> shape of its weight, or of each of its parameters where it has no weight.
        base_rows: rows of the base's embedding by its configuration.
        rows: rows that the embedding needs before the adapter is loaded.
        dtype: of the base, by its configuration.
        parameters: the number of parameters of the base.
        places: the adapted parameters.
    """

    required: Mapping[str, Shape]
    optional: Mapping[str, Shape]
    modules: Mapping[str, Shape]
    base_rows: int
    rows: int
    dtype: str
    parameters: int
    places: tuple[Place, ...]


@dataclass(frozen=True)
class PairValues:
    """One pair of low-rank matrices, as it is stored.

    Attributes:
        module: of the base, with the parameter where it is not the weight.
        rank: of the pair.
        scaling: the factor by which peft multiplies it; None where that is not known.
        dtype: of A, by safetensors' name.
        product: Frobenius norm of B A, before scaling.
        base: Frobenius norm of the base's weight; None where it was not read.
        rounding: estimated norm of the error of rounding that weight to the base's format; None where not computed.
    """

    module: str
    rank: int
    scaling: float | None
    dtype: str
    product: float
    base: float | None = None
    rounding: float | None = None

    @property
    def addition(self) -> float:
        """Frobenius norm of what it adds to the weight, before DoRA's magnitudes; as if scaled by 1 where unknown."""
        return self.product * (1.0 if self.scaling is None else abs(self.scaling))

    @property
    def is_dead(self) -> bool:
        """Whether it adds nothing."""
        return not self.addition


@dataclass(frozen=True)
class KeyDifference:
    """One pattern by which the tensors of a file differ from the expected ones.

    Attributes:
        pattern: its name; one check of the artifact looks for it.
        observed: the pattern in a clause, with counts.
        expected: what the file should have in its place.
        example: a tensor that shows it.
    """

    pattern: str
    observed: str
    expected: str
    example: str = ""


@dataclass(frozen=True)
class TokenizerEvidence:
    """The tokenizer that goes with the adapter.

    Attributes:
        is_own: whether it lies in the adapter's folder.
        problem: why the tokenizer in the adapter's folder cannot be loaded; empty where it can, or where there is none.
        without_row: tokens beyond the rows of the embedding, apart from padding.
        chat_template: the adapter's, or else its base's; None where there is none.
    """

    is_own: bool
    problem: str = ""
    without_row: tuple[str, ...] = ()
    chat_template: str | None = None


@dataclass(frozen=True)
class WholeModel:
    """The weights of a whole model in the adapter's folder.

    Attributes:
        file: one that holds them.
        kind: "merged" is the base with the adapter, "base" is the base as it is, "other" is neither.
        compared: the number of weights that were compared.
    """

    file: str
    kind: Literal["merged", "base", "other"]
    compared: int


@dataclass(frozen=True)
class LoadedAdapter:
    """The adapter as peft loads it in fp32, on a batch of random tokens.

    Attributes:
        problem: why peft does not load it; empty where it does. Nothing else is known then.
        base_change: the largest difference of a logit from the base's.
        largest_logit: the largest absolute logit; rounding is relative to it.
        finite: dtype -> whether all logits are finite in it; 16-bit dtypes pass where the base's own logits are not.
        base_dtype: in which the base is stored.
        difference: the largest difference of a logit from the model with the expected weights; None where those are
            not computed.
        not_computed: the kind of layer whose expected weights are not computed.
        first_different: the first module whose output differs; empty where none does.
    """

    problem: str = ""
    base_change: float = 0.0
    largest_logit: float = 0.0
    finite: Mapping[str, bool] = field(default_factory=dict)
    base_dtype: str = "float32"
    difference: float | None = None
    not_computed: str = ""
    first_different: str = ""


@dataclass(frozen=True)
class AdapterEvidence:
    """One adapter folder.

    Attributes:
        files: where its tensors lie, and their headers.
        subfolders: names of the folders in it that hold another adapter each.
        base: name of the base; empty where none was looked for.
        not_judged: why the folder is no LoRA adapter that is judged here; nothing else is known then.
        config: the configuration; None where `config_problem` says why it cannot be used.
        config_problem: why the configuration cannot be used.
        expected: the tensors that the configuration gives on the base; None where `refusal` says why not.
        refusal: why peft does not put the configuration on the base.
        differences: the patterns by which the tensors differ from those expected.
        values: tensor -> its values; None where they cannot be read.
        base_format: how the base is stored or loaded, by its configuration: a quantisation, or a dtype.
        pairs: the pairs of low-rank matrices; None where the values cannot be read, or the base is not known.
        tokenizer: the tokenizer that goes with the adapter.
        whole_model: a whole model in the same folder.
        contradictions: clauses in which the folder differs from its `sft_ref_record.json`; None without a record.
        loaded: what the adapter computes; None where it was not loaded.
        not_loaded: why the base cannot be loaded here, a clause; empty where it can, or was not tried.
        size: of adapter, folder and model; None where the base was not looked at.
        limits: of size.
        answers: what the rows of --data and the text of --prompt show; None without them.
        ending: where answers end in training, and where generation stops; None where it is not known how texts are
            written.
        template: what the chat template does that writes the texts; None where none does, or that is not known.
    """

    files: AdapterFiles
    subfolders: tuple[str, ...] = ()
    base: str = ""
    not_judged: str = ""
    config: AdapterConfig | None = None
    config_problem: str = ""
    expected: ExpectedTensors | None = None
    refusal: str = ""
    differences: tuple[KeyDifference, ...] = ()
    values: Mapping[str, TensorValues] | None = None
    base_format: str = ""
    pairs: tuple[PairValues, ...] | None = None
    tokenizer: TokenizerEvidence | None = None
    whole_model: WholeModel | None = None
    contradictions: tuple[str, ...] | None = None
    loaded: LoadedAdapter | None = None
    not_loaded: str = ""
    size: Size | None = None
    limits: SizeLimits = UNLIMITED
    answers: AnswersEvidence | None = None
    ending: StopContract | None = None
    template: ChatTemplate | None = None

    @property
    def chat_template(self) -> ChatTemplate:
        """What the chat template does that writes the texts.

        Raises:
            Unavailable: none does, or it is not known how texts are written.
        """
        if self.template is None:
            raise Unavailable("no chat template is known to write the texts")
        return self.template

    @property
    def pickles(self) -> tuple[str, ...]:
        """Names of the files that hold tensors and are pickles."""
        return (PICKLE,) if self.files.has_pickle else ()

    @property
    def saved_values(self) -> SavedValues:
        """What its tensors hold.

        Raises:
            Unavailable: they are a pickle, or were not read.
        """
        self.files.check_readable()
        if self.values is None:
            raise Unavailable("the tensors were not read")
        return SavedValues(self.values, {name: header.dtype for name, header in self.files.headers.items()})

    @property
    def nonfinite_logits(self) -> NonfiniteLogits:
        """Of random tokens, in fp32 and in the dtype that the base is stored in; in the other 16-bit dtype besides.

        Raises:
            Unavailable: it was not loaded.
        """
        if self.loaded is None:
            raise Unavailable("the adapter was not loaded")
        bad = [dtype for dtype, is_finite in self.loaded.finite.items() if not is_finite]
        due = [dtype for dtype in bad if dtype in ("float32", self.loaded.base_dtype)]
        found = f"in {', '.join(due)}" if due else ""
        return NonfiniteLogits(found, "random tokens", ", ".join(dtype for dtype in bad if dtype not in due))

    @property
    def stop_contract(self) -> StopContract:
        """Where generation stops, and where answers end.

        Raises:
            Unavailable: it is not known how texts are written.
        """
        if self.ending is None:
            raise Unavailable("how answers end in training is not known: give --data, --prompt or --chat-template")
        return self.ending

    @property
    def sizes(self) -> MeasuredSize:
        """Its size on the base."""
        return MeasuredSize(self.size, "the size is not known without the base", self.base, self.files.folder.name)
