"""Adapts calls of transformers that foreign code writes for another version, for CUDA or for a network.

Foreign code runs on the CPU, also on a machine with a GPU.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import transformers

from .time_limit import find_checkpoint

REMOVED = {
    *("_n_gpu", "adafactor", "fp16_backend", "fp16_opt_level", "group_by_length", "half_precision_backend"),
    *("include_inputs_for_metrics", "include_tokens_per_second", "jit_mode_eval", "logging_dir", "no_cuda"),
    *("overwrite_output_dir", "past_index", "per_gpu_eval_batch_size", "per_gpu_train_batch_size", "save_safetensors"),
    *("torchdynamo", "tpu_num_cores", "use_ipex", "use_legacy_prediction_loop", "use_mps_device"),
}
"""Arguments of TrainingArguments in transformers 4, but not in 5, that do not affect learning."""
RENAMED = {"evaluation_strategy": "eval_strategy"}

_QUANTIZATION = ("quantization_config", "load_in_8bit", "load_in_4bit", "max_memory")
_CACHE = ("cache_dir", "force_download", "resume_download")
"""Arguments with which nothing is found if there is no network."""
_WORKERS = ("dataloader_num_workers", "dataloader_persistent_workers", "dataloader_prefetch_factor")


class Loading:
    """Adapts and records calls of `from_pretrained`.

    Args:
        note: records a note for the reader of the report.
        shortened: (planned, granted) steps of a shortened training; None if it was not shortened.

    Attributes:
        model_names: names of the models that were requested.
        adapter_folders: folders of the adapters that were read.
    """

    def __init__(self, note: Callable[[str], None], shortened: tuple[int, int] | None = None) -> None:
        self.note, self.shortened = note, shortened
        self.model_names: list[str] = []
        self.adapter_folders: list[str] = []
        self._tokenizers: list[Any] = []

    def load_model(self, original: Any, cls: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Adapts `PreTrainedModel.from_pretrained`."""
        self.model_names.append(str(args[0] if args else kwargs.get("pretrained_model_name_or_path")))
        _drop(kwargs, _CACHE)
        kwargs.pop("device_map", None)
        for name in _QUANTIZATION:
            if kwargs.pop(name, None) not in (None, False):
                self.note(f"{name} needs CUDA; the model was loaded without it")
        if str(kwargs.get("attn_implementation", "")).startswith("flash"):
            self.note("flash attention needs CUDA; the model's own was used")
            del kwargs["attn_implementation"]
        return original(cls, *args, **kwargs)

    def load_tokenizer(self, original: Any, cls: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Adapts `PreTrainedTokenizerBase.from_pretrained`."""
        _drop(kwargs, _CACHE)
        self._tokenizers.append(original(cls, *args, **kwargs))
        return self._tokenizers[-1]

    def load_adapter(
        self, original: Any, cls: Any, /, model: Any, model_id: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Adapts `PeftModel.from_pretrained`."""
        wanted = Path(os.path.abspath(str(model_id)))  # noqa: PTH100  # without following links
        folder = find_checkpoint(wanted, self.shortened)
        if folder != wanted:
            self.note(f"{wanted.name} is {folder.name} of the shortened training")
            model_id = str(folder)
        self.adapter_folders.append(str(folder))
        return original(cls, model, model_id, *args, **kwargs)

    def added_tokens(self) -> dict[int, str]:
        """Returns tokens that were added to the loaded tokenizers, by id."""
        return {i: text for tokenizer in self._tokenizers for text, i in tokenizer.get_added_vocab().items()}


class TrainerArguments:
    """Adapts the arguments of Trainer.

    Args:
        note: records a note for the reader of the report.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self.note = note

    def adapt(self, init: Any, arguments: Any, /, *args: Any, **kwargs: Any) -> None:
        """Adapts `TrainingArguments(...)`."""
        self._adapt_to_version(kwargs, set(inspect.signature(init).parameters))
        self._adapt_to_cpu(kwargs)
        if kwargs.get("push_to_hub"):
            self.note("nothing is pushed to the hub")
            kwargs["push_to_hub"] = False
        _drop(kwargs, _WORKERS)
        kwargs.update(report_to="none", disable_tqdm=True)
        init(arguments, *args, **kwargs)

    def _adapt_to_version(self, kwargs: dict[str, Any], known: set[str]) -> None:
        for name in [name for name in kwargs if name not in known]:
            if RENAMED.get(name) in known:
                kwargs[RENAMED[name]] = kwargs.pop(name)
                self.note(f"TrainingArguments({name}) is {RENAMED[name]} in transformers {transformers.__version__}")
            elif name in REMOVED:
                kwargs.pop(name)
                self.note(f"TrainingArguments({name}) is gone in transformers {transformers.__version__}; left out")
            elif name == "warmup_ratio":
                kwargs["warmup_steps"] = kwargs.pop(name)

    def _adapt_to_cpu(self, kwargs: dict[str, Any]) -> None:
        for name in ("fp16", "fp16_full_eval", "tf32"):
            if kwargs.get(name):
                self.note(f"TrainingArguments({name}=True) needs CUDA; it ran without")
                kwargs.pop(name)
        if kwargs.get("bf16") or kwargs.get("bf16_full_eval"):
            kwargs["use_cpu"] = True  # else bfloat16 is refused without CUDA
        optimizer = str(kwargs.get("optim", ""))
        if "bnb" in optimizer or "8bit" in optimizer:
            self.note("optim={!r} needs CUDA; adamw_torch was used".format(kwargs["optim"]))
            kwargs["optim"] = "adamw_torch"

    def adapt_trainer(self, init: Any, trainer: Any, /, *args: Any, **kwargs: Any) -> None:
        """Adapts `Trainer(...)`."""
        if "tokenizer" in kwargs and "tokenizer" not in inspect.signature(init).parameters:
            self.note(f"Trainer(tokenizer) is processing_class in transformers {transformers.__version__}")
            kwargs["processing_class"] = kwargs.pop("tokenizer")
        init(trainer, *args, **kwargs)

    def adapt_accelerator(self, init: Any, accelerator: Any, /, *args: Any, **kwargs: Any) -> None:
        """Adapts `Accelerator(...)`."""
        if kwargs.get("mixed_precision") == "fp16":
            self.note("Accelerator(mixed_precision='fp16') needs CUDA; it ran without")
            kwargs["mixed_precision"] = "no"
        init(accelerator, *args, **kwargs)


def compile_eagerly(original: Any, /, model: Any = None, **kwargs: Any) -> Any:
    """Calls `torch.compile` with a backend that compiles nothing."""
    _drop(kwargs, ("mode", "options"))  # options of the default backend
    return original(model, **{**kwargs, "backend": "eager"})


def _drop(kwargs: dict[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        kwargs.pop(name, None)
