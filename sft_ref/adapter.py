"""A LoRA adapter and its folder: made, written whole, read safely, checked against its record.

Knows nothing of questions. An adapter is safetensors or it is refused: a pickle can run code when it is read.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from .errors import AdapterError, OutputError
from .exchange import exchange
from .precision import Policy, Record, digest

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
RECORD = "sft_ref_record.json"


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
    if folder.exists() and not (folder.is_dir() and ((folder / CONFIG).is_file() or not any(folder.iterdir()))):
        raise OutputError(f"{folder} exists and is no adapter folder; choose another, or move it away")


def fingerprint_adapter(tensors: dict[str, torch.Tensor]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of tensors, whatever the order."""
    import hashlib

    return digest(
        {
            name: [
                str(tensor.dtype),
                list(tensor.shape),
                hashlib.sha256(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()).hexdigest(),
            ]
            for name, tensor in tensors.items()
        }
    )


def read_tensors(folder: Path) -> dict[str, torch.Tensor]:
    """The tensors of an adapter folder, by their names in the file.

    Raises:
        AdapterError: there is no adapter, it is a pickle, damaged, empty, or holds values that are not finite.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not (folder / CONFIG).is_file():
        raise AdapterError(f"{folder}: holds no {CONFIG}; give a folder that `train` wrote")
    path = folder / WEIGHTS
    if not path.is_file():
        if (folder / "adapter_model.bin").exists():
            raise AdapterError(f"{folder}: adapter_model.bin is a pickle and is not read; save it as {WEIGHTS}")
        raise AdapterError(f"{folder}: holds no {WEIGHTS}; train again, or give another folder")
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise AdapterError(f"{path}: is damaged ({error}); train again, or copy it anew") from error
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
    if not path.is_file():
        return None
    record = Record.from_json(path.read_text(encoding="utf-8", errors="replace"), where=str(path))
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
        AdapterError: the configuration is no JSON.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        return config.get("base_model_name_or_path") or None
    except (ValueError, AttributeError, OSError) as error:
        raise AdapterError(f"{folder / CONFIG}: cannot be read ({error}); copy the folder anew") from error


def load_adapter(model: PreTrainedModel, folder: Path, tensors: dict[str, torch.Tensor]) -> PeftModel:
    """Puts a stored adapter on its base, in the dtype that it is stored in.

    Raises:
        AdapterError: it does not fit the base: tensors are missing, left over, or of another shape.
    """
    from peft import PeftModel, get_peft_model_state_dict

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Found missing adapter keys")  # an error below
            peft_model = PeftModel.from_pretrained(model, str(folder), autocast_adapter_dtype=False)
    except (RuntimeError, ValueError, TypeError, KeyError) as error:
        reason = next((line.strip() for line in str(error).splitlines() if "size mismatch" in line), str(error)[:200])
        raise AdapterError(f"{folder}: does not fit this base ({reason}); give the base it was trained on") from error
    due = get_peft_model_state_dict(peft_model, save_embedding_layers=False).keys()
    known = due | peft_model.state_dict().keys()  # peft saves the base's own embedding beside an adapter of it
    for names, what in ((due - tensors.keys(), "lacks"), (tensors.keys() - known, "has no place in this base for")):
        if names:
            raise AdapterError(f"{folder}: {what} {min(names)} ({len(names)} in all); give the base it was trained on")
    for name, parameter in peft_model.named_parameters():
        stored = tensors.get(name.replace(".default", ""))
        if stored is not None:  # peft casts on its way, by rules that change with its version
            parameter.data = stored.to(parameter.device)
    return peft_model
