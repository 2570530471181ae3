"""A LoRA adapter and its folder: made, written whole, read safely, checked against its record.

Knows nothing of questions. An adapter is safetensors or it is refused: a pickle can run code when it is read.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from sft_ref.errors import AdapterError, OutputError
from sft_ref.io import lora_config
from sft_ref.io.base_config import empty_model
from sft_ref.io.exchange import exchange
from sft_ref.io.foreign import foreign_files
from sft_ref.io.lora_config import AdapterConfig, base_of, read_lora, read_table
from sft_ref.io.reading import Refusal, UnreadableError, kind_of, read_bytes, shortened, why_no_path
from sft_ref.io.tensor_headers import FULL, read_header

from .precision import Policy, Record, digest

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

CONFIG = lora_config.CONFIG
WEIGHTS = "adapter_model.safetensors"
RECORD = "sft_ref_record.json"

_ADDED = ".12345678.partial"
"""As long as what is added to a folder's name while it is written."""


def add_adapter(model: PreTrainedModel, policy: Policy, *, rank: int, alpha: int) -> PeftModel:
    """A blank LoRA adapter on every Linear layer but the head, in the policy's adapter dtype, ready to train."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        task_type="CAUSAL_LM", target_modules="all-linear", bias="none", r=rank, lora_alpha=alpha, lora_dropout=0.0
    )
    peft_model = get_peft_model(model, config, autocast_adapter_dtype=False)
    cast_adapter(peft_model, policy)
    return peft_model


def cast_adapter(model: PeftModel, policy: Policy) -> None:
    """Casts the adapter's tensors to the policy's adapter dtype, in place."""
    for name, tensor in model.named_parameters():
        if "lora_" in name:
            tensor.data = tensor.data.to(getattr(torch, policy.adapter))


@contextlib.contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Within it, what a full or closed disk raises by way of any library is one error that names the folder.

    Raises:
        OutputError: in place of those.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        raise OutputError(f"cannot write {folder} ({error}); free space, or choose another folder") from error
    except RuntimeError as error:
        if "PytorchStreamWriter" not in str(error) and "inline_container" not in str(error):
            raise  # it is not torch.save that failed
        raise OutputError(f"cannot write {folder} (no space left?); free space, or choose another folder") from error


@contextlib.contextmanager
def writing(folder: Path, scratch: Path) -> Iterator[Path]:
    """Gives an empty folder, which takes the place of `folder` when all went well, and is removed otherwise.

    Args:
        folder: where the adapter goes.
        scratch: where the new folder is made, on the same disk.

    Raises:
        OutputError: the disk is full, the place cannot be written, or something else than an adapter stands there.
    """
    check_replaceable(folder)
    with disk_errors(folder):
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        try:
            yield scratch
            _put(scratch, folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _put(scratch: Path, folder: Path) -> None:
    """Puts a folder in its place, in one step where the system can; what stood there before lies in `scratch` then."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch.replace(folder)
    elif not exchange(scratch, folder):
        old = Path(f"{scratch}.old")
        folder.replace(old)
        try:
            scratch.replace(folder)
        except BaseException:
            old.replace(folder)
            raise
        old.replace(scratch)


def check_replaceable(folder: Path) -> None:
    """Refuses to put an adapter where something else stands.

    Raises:
        OutputError: it is no folder, or one that holds other things than an adapter.
    """
    check_can_be_named(folder)
    if folder.is_symlink():  # a rename would put the adapter in the place of the link
        raise OutputError(f"{folder} is a link; give the folder that it stands for")
    kind = kind_of(folder)
    if kind and not (kind == "folder" and (kind_of(folder / CONFIG) == "file" or not any(folder.iterdir()))):
        raise OutputError(f"{folder} exists and is no adapter folder; choose another, or move it away")


def check_can_be_named(folder: Path) -> None:
    """Refuses a path that no folder can have.

    Raises:
        OutputError: it is too long, with what is added to it while writing, or leads through a loop of links.
    """
    longest = folder.with_name(f"{folder.name}{_ADDED}") if folder.name else folder
    if reason := why_no_path(folder) or why_no_path(longest):
        raise OutputError(f"cannot write {shortened(folder)} ({reason}); choose another folder")


def fingerprint_adapter(tensors: dict[str, torch.Tensor]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of tensors, whatever the order."""
    import hashlib

    return digest(
        {
            name: [
                str(tensor.dtype),
                list(tensor.shape),
                hashlib.sha256(
                    tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
                ).hexdigest(),
            ]
            for name, tensor in tensors.items()
        }
    )


def read_tensors(folder: Path) -> dict[str, torch.Tensor]:
    """The tensors of an adapter folder, by their names in the file.

    Raises:
        AdapterError: there is no adapter, it is a pickle, damaged, empty, or holds values that are not finite.
    """
    from safetensors.torch import load_file

    if kind_of(folder / CONFIG) != "file":
        raise AdapterError(f"{shortened(folder)}: holds no {CONFIG}; give a folder that `train` wrote")
    path = folder / WEIGHTS
    if kind_of(path) != "file":
        if kind_of(folder / "adapter_model.bin"):
            raise AdapterError(f"{folder}: adapter_model.bin is a pickle and is not read; save it as {WEIGHTS}")
        raise AdapterError(f"{folder}: holds no {WEIGHTS}; train again, or give another folder")
    try:
        headers = read_header(path)
    except UnreadableError as error:
        raise AdapterError(f"{path}: is damaged ({error}); train again, or copy it anew") from error
    if odd := next((name for name, header in headers.items() if header.dtype not in FULL), None):
        raise AdapterError(
            f"{path}: {odd[:200]} is stored as {headers[odd].dtype[:20]}; save it as one of {', '.join(sorted(FULL))}"
        )
    with foreign_files(AdapterError, f"{path}: is damaged", "train again, or copy it anew"):
        tensors = load_file(path)
    if not tensors:
        raise AdapterError(f"{path}: holds no tensors; train again, or copy it anew")
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise AdapterError(f"{path}: {name} holds NaN or infinity; the training went wrong, train again")
    return tensors


def read_record(folder: Path, tensors: dict[str, torch.Tensor]) -> Record | None:
    """The record beside an adapter; None where there is none, as beside adapters of other tools.

    Raises:
        AdapterError: it cannot be read, or the tensors are not those that it was written for.
    """
    path = folder / RECORD
    if kind_of(path) is None and not path.is_symlink():
        return None
    text = read_bytes(path, Refusal(AdapterError, "train again, or delete it"))
    record = Record.from_json(text, where=str(path))
    if record.fingerprints.get("adapter") != fingerprint_adapter(tensors):
        recorded = sorted(set(record.dtypes.get("adapter", {}).values()))
        found = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()})
        raise AdapterError(
            f"{path}: contradicts {WEIGHTS}: the tensors are not those that were trained"
            f" (recorded {', '.join(recorded)}, found {', '.join(found)}); copy the folder anew, or train again"
        )
    return record


def read_base_name(folder: Path) -> str | None:
    """The base that the adapter's own configuration names.

    Raises:
        AdapterError: the configuration is no JSON object.
    """
    try:
        return base_of(read_table(folder))
    except UnreadableError as error:
        raise AdapterError(f"{folder}: {CONFIG} cannot be read ({error}); copy the folder anew") from error


def load_adapter(model: PreTrainedModel, folder: Path, tensors: dict[str, torch.Tensor]) -> PeftModel:
    """Puts a stored adapter on its base, in the dtype that it is stored in.

    Raises:
        AdapterError: its configuration cannot be used, or it does not fit the base: tensors are missing, left over, or
            of another shape.
    """
    from peft import PeftModel

    config = read_lora(folder)
    if config.changes_base:
        raise AdapterError(
            f"{folder}: init_lora_weights is {config.changes_base}, which changes the base on loading;"
            " save the adapter as plain LoRA (path_initial_model_for_weight_conversion of save_pretrained)"
        )
    _check_fits(model, config, folder, tensors)
    with _misfit(folder):
        peft_model = PeftModel.from_pretrained(
            model, str(folder), config=config.for_peft(), autocast_adapter_dtype=False
        )
    for name, parameter in peft_model.named_parameters():
        stored = tensors.get(name.replace(".default", ""))
        if stored is not None:  # peft casts on its way, by rules that change with its version
            parameter.data = stored.to(parameter.device)
    return peft_model


def _misfit(folder: Path) -> contextlib.AbstractContextManager[None]:
    return foreign_files(AdapterError, f"{folder}: does not fit this base", "give the base it was trained on")


def _check_fits(model: PreTrainedModel, config: AdapterConfig, folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Compares names and shapes with those that peft gives the configuration, before any memory is spent on it."""
    from peft import PeftModelForCausalLM, get_peft_model_state_dict

    with _misfit(folder), torch.device("meta"):
        empty = PeftModelForCausalLM(empty_model(model.config, folder), config.for_peft(), "default")
        due = get_peft_model_state_dict(empty, save_embedding_layers=False)
        known = due | empty.state_dict()  # peft saves the base's own embedding beside an adapter of it
    for names, what in (
        (due.keys() - tensors.keys(), "lacks"),
        (tensors.keys() - known.keys(), "has no place in this base for"),
    ):
        if names:
            raise AdapterError(
                f"{folder}: {what} {min(names)[:200]} ({len(names)} in all); give the base it was trained on"
            )
    for name, tensor in tensors.items():
        if tensor.shape != known[name].shape:
            raise AdapterError(
                f"{folder}: does not fit this base ({name} has the shape {list(tensor.shape)} in {WEIGHTS}, and"
                f" {list(known[name].shape)} by {CONFIG} and base); give the base it was trained on"
            )
