"""Evidence about an adapter folder and its base model. A field is None if it could not be observed."""

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

_EMBEDDINGS = frozenset({"embed_tokens", "wte", "word_embeddings", "embed_in", "embedding", "lm_head", "embed_out"})
"""Names of input and output embeddings in transformers' models."""


@dataclass(frozen=True)
class AdapterFiles:
    """The files of one adapter.

    Attributes:
        folder: the adapter folder.
        weights: the safetensors files, in order: a single file, or the shards.
        shards: the number of shards according to the index, or else to the file names; 0 if there are none.
        index: maps each tensor name to the file name of its shard; None without an index.
        missing: file names of missing shards.
        has_pickle: whether the folder contains `adapter_model.bin`.
        damage: why a file cannot be read; empty if all can be read.
        headers: maps the tensor names of all files to their headers.
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
        """Maps tensor names to shapes."""
        return {name: header.shape for name, header in self.headers.items()}

    def check_readable(self) -> None:
        """Raises `Unavailable` if there are no readable tensors."""
        if not self.weights and self.has_pickle:
            raise Unavailable(f"{PICKLE} is a pickle, which is not opened")


@dataclass(frozen=True)
class AdaptedParameter:
    """A parameter of the base model that a pair of low-rank matrices is added to.

    Attributes:
        path: the path of the pair in its tensor names; `base_layer` distinguishes several wrappers of one module.
        module: the module name in the base model.
        parameter: the parameter name within the module.
        key: the name that rank_pattern and alpha_pattern are matched against.
        scaling: the factor by which peft multiplies the pair.
    """

    path: str
    module: str
    parameter: str
    key: str
    scaling: float


@dataclass(frozen=True)
class ExpectedTensors:
    """The tensors that peft creates for this configuration on this base model.

    Attributes:
        required: maps the names of all tensors that peft saves to their shapes.
        optional: maps names to shapes for whole base weights that peft loads if the file contains them, such as the
            embedding and head of a resized vocabulary.
        modules: maps base modules to the shape of their weight, or to the shape of each parameter if they have no
            weight.
        base_rows: number of embedding rows according to the base model's configuration.
        rows: number of embedding rows required before the adapter is loaded.
        dtype: the base model's dtype according to its configuration.
        parameters: the number of parameters of the base model.
        places: the adapted parameters.
    """

    required: Mapping[str, Shape]
    optional: Mapping[str, Shape]
    modules: Mapping[str, Shape]
    base_rows: int
    rows: int
    dtype: str
    parameters: int
    places: tuple[AdaptedParameter, ...]


def is_embedding(name: str) -> bool:
    """Returns whether a tensor is the weight of an input or output embedding."""
    return name.removesuffix(".weight").removesuffix(".base_layer").rpartition(".")[2] in _EMBEDDINGS


@dataclass(frozen=True)
class PairValues:
    """One pair of low-rank matrices, as stored.

    Attributes:
        module: the base module, followed by the parameter name unless that is the weight.
        rank: the rank of the pair.
        scaling: the factor by which peft multiplies the pair; None if unknown.
        dtype: the dtype of A, by its safetensors name.
        product: Frobenius norm of B @ A, before scaling.
        base: Frobenius norm of the base weight; None if it was not read.
        rounding: estimated norm of the error of rounding the base weight to the base model's format; None if not
            computed.
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
        """Frobenius norm of the delta, before DoRA's magnitudes; an unknown scaling counts as 1."""
        return self.product * (1.0 if self.scaling is None else abs(self.scaling))

    @property
    def is_dead(self) -> bool:
        """Whether the pair adds nothing to the weight."""
        return not self.addition


@dataclass(frozen=True)
class KeyDifference:
    """One way in which the tensors of a file differ from the expected ones.

    Attributes:
        pattern: the name of the pattern; one check of the artifact stage looks for it.
        observed: a clause that describes the pattern, with counts.
        expected: what the file should contain instead.
        example: name of a tensor that shows the pattern.
    """

    pattern: str
    observed: str
    expected: str
    example: str = ""


@dataclass(frozen=True)
class TokenizerEvidence:
    """The tokenizer that belongs to the adapter.

    Attributes:
        is_own: whether the adapter folder contains the tokenizer.
        problem: why the tokenizer in the adapter folder cannot be loaded; empty if it can be loaded or does not exist.
        without_row: tokens that have no embedding row, except padding.
        chat_template: the adapter's chat template, or else the base model's; None if there is none.
    """

    is_own: bool
    problem: str = ""
    without_row: tuple[str, ...] = ()
    chat_template: str | None = None


@dataclass(frozen=True)
class WholeModel:
    """The weights of a whole model in the adapter folder.

    Attributes:
        file: name of one file that contains them.
        kind: "merged" is the base model with the adapter, "base" is the unchanged base model, "other" is neither.
        compared: the number of weights that were compared.
    """

    file: str
    kind: Literal["merged", "base", "other"]
    compared: int


@dataclass(frozen=True)
class LoadedAdapter:
    """The adapter as peft loads it in fp32, evaluated on a batch of random tokens.

    Attributes:
        problem: why peft does not load the adapter; empty if it does. The other fields are unset in that case.
        base_change: the largest absolute difference between a logit and the base model's logit.
        largest_logit: the largest absolute logit; rounding errors are relative to it.
        finite: maps each dtype to whether all logits are finite in it; a 16-bit dtype passes if the base model's own
            logits are not finite in it.
        base_dtype: the dtype in which the base model is stored.
        difference: the largest absolute difference between a logit and the logit of the model with the expected
            weights; None if the expected weights are not computed.
        not_computed: the kind of layer whose expected weights cannot be computed.
        first_different: name of the first module whose output differs; empty if none does.
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
    """Recorded evidence of one adapter folder.

    Attributes:
        files: the files of the adapter and their tensor headers.
        subfolders: names of subfolders that each contain another adapter.
        base: name of the base model; empty if none was looked for.
        not_judged: why the folder is not a LoRA adapter that can be judged; the other fields are unset in that case.
        config: the configuration; None if it cannot be used, for the reason `config_problem`.
        config_problem: why the configuration cannot be used.
        expected: the tensors that the configuration requires on the base model; None if peft refuses, for the reason
            `refusal`.
        refusal: why peft does not apply the configuration to the base model.
        differences: the ways in which the tensors differ from the expected ones.
        values: maps tensor names to a summary of their values; None if they cannot be read.
        base_format: how the base model is stored or loaded according to its configuration: a quantisation, or a dtype.
        pairs: the pairs of low-rank matrices; None if the values cannot be read or the base model is unknown.
        tokenizer: the tokenizer that belongs to the adapter.
        whole_model: a whole model in the same folder.
        contradictions: clauses that say how the folder differs from its `sft_ref_record.json`; None without a record.
        loaded: the adapter's logits; None if it was not loaded.
        not_loaded: a clause that says why the base model cannot be loaded here; empty if it can be, or was not tried.
        size: the sizes of adapter, folder and model; None if the base model was not examined.
        limits: limits on the size.
        answers: the results on the rows of --data and the text of --prompt; None without these options.
        ending: the token that ends answers in training, and the tokens that stop generation; None if the text format is
            unknown.
        template: how the chat template renders conversations; None if the texts use none, or if that is unknown.
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
        """The observed behaviour of the chat template that formats the texts.

        Raises:
            Unavailable: no chat template formats the texts, or their format is unknown.
        """
        if self.template is None:
            raise Unavailable("the texts are not known to be formatted by a chat template")
        return self.template

    @property
    def pickles(self) -> tuple[str, ...]:
        """Names of pickle files that contain tensors."""
        return (PICKLE,) if self.files.has_pickle else ()

    @property
    def saved_values(self) -> SavedValues:
        """The values and dtypes of the saved tensors.

        Raises:
            Unavailable: the tensors are in a pickle, or were not read.
        """
        self.files.check_readable()
        if self.values is None:
            raise Unavailable("the tensors were not read")
        return SavedValues(self.values, {name: header.dtype for name, header in self.files.headers.items()})

    @property
    def nonfinite_logits(self) -> NonfiniteLogits:
        """The dtypes in which logits of random tokens are not finite.

        Finite logits are required in fp32 and in the dtype in which the base model is stored; the other 16-bit dtype is
        only reported.

        Raises:
            Unavailable: the adapter was not loaded.
        """
        if self.loaded is None:
            raise Unavailable("the adapter was not loaded")
        bad = [dtype for dtype, is_finite in self.loaded.finite.items() if not is_finite]
        due = [dtype for dtype in bad if dtype in ("float32", self.loaded.base_dtype)]
        found = f"in {', '.join(due)}" if due else ""
        return NonfiniteLogits(found, "random tokens", ", ".join(dtype for dtype in bad if dtype not in due))

    @property
    def stop_contract(self) -> StopContract:
        """The token that ends answers in training, and the tokens that stop generation.

        Raises:
            Unavailable: the text format is unknown.
        """
        if self.ending is None:
            raise Unavailable(
                "the token that ends answers in training is unknown: give --data, --prompt or --chat-template"
            )
        return self.ending

    @property
    def sizes(self) -> MeasuredSize:
        """The size of the adapter on its base model."""
        return MeasuredSize(self.size, "the size is unknown without the base", self.base, self.files.folder.name)
