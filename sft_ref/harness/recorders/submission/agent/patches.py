"""Lists every patch of a library in order of application: the target, its replacement, and the reason.

The docstring of the package lists the faults that a patch could hide, and how that is excluded.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from . import cuda_on_cpu, missing_modules
from .compatibility import Loading, TrainerArguments, compile_eagerly
from .forwards import Forwards
from .time_limit import TimeLimit
from .training_recorder.recorder import TrainingRecorder

Make = Callable[[Any], Any]


class Patch(NamedTuple):
    """One row of the table of patches.

    Attributes:
        target: dotted name of the replaced attribute; for several, the last parts are separated by spaces.
        make: makes the replacement from the original.
        reason: why the patch is needed.
        optional: whether to skip the patch if this version of the library lacks the target.
    """

    target: str
    make: Make
    reason: str
    optional: bool = False


def apply(patches: Iterable[Patch]) -> None:
    """Replaces each target, in order."""
    for patch in patches:
        path, _, names = patch.target.rpartition(".")
        try:
            owner = pkgutil.resolve_name(path)
        except (ImportError, AttributeError):
            if patch.optional:
                continue
            raise
        for name in names.split():
            if patch.optional and not hasattr(owner, name):
                continue
            if isinstance(inspect.getattr_static(owner, name), classmethod):
                setattr(owner, name, classmethod(patch.make(getattr(owner, name).__func__)))
            else:
                setattr(owner, name, patch.make(getattr(owner, name)))


def around(function: Callable[..., Any]) -> Make:
    """Makes the target call `function` with the original and its own arguments."""

    def make(original: Any) -> Any:
        @functools.wraps(original)
        def patched(*args: Any, **kwargs: Any) -> Any:
            return function(original, *args, **kwargs)

        return patched

    return make


def instead(replacement: Any) -> Make:
    """Replaces the target."""
    return lambda original: replacement


def called_with(*args: Any) -> Make:
    """Calls the target once, immediately, and leaves it unchanged."""

    def make(original: Any) -> Any:
        original(*args)
        return original

    return make


def extended_by(item: Any) -> Make:
    """Appends an item to the target, a list."""
    return lambda items: [*items, item]


@contextmanager
def replaced(owner: Any, name: str, make: Make) -> Iterator[None]:
    """Replaces an attribute of an object, module or class by the result of `make` within the block, if possible."""
    own = getattr(owner, "__dict__", {}).get(name)
    with suppress(AttributeError):
        setattr(owner, name, make(getattr(owner, name)))
    try:
        yield
    finally:
        with suppress(AttributeError):
            if own is None:  # it belongs to the object's class
                delattr(owner, name)
            else:
                setattr(owner, name, own)


def shared_patches(
    root: str, model_class: str, note: Callable[[str], None], loading: Loading, forwards: Forwards
) -> Iterator[Patch]:
    """Yields the patches that every command needs, to run foreign code here and observe it.

    Args:
        root: folder of the submission; some patches are visible only to the files in it.
        model_class: name of the class of every base model.
        note: records a note for the reader of the report.
        loading: adapts and records loading by name.
        forwards: observes the forward passes.
    """
    if importlib.util.find_spec("tensorboard") is None:
        yield Patch("sys.modules", missing_modules.stub_tensorboard, "torch.utils.tensorboard needs tensorboard.")
    yield Patch(
        "sys.meta_path",
        extended_by(missing_modules.StubFinder(root, note)),
        "Modules that log, draw or parse a command line change no answer; a stub replaces each one that is missing.",
    )
    yield from cuda_patches(root, note)
    yield Patch(
        "transformers.BitsAndBytesConfig.post_init",
        instead(lambda self: None),
        "It looks for a package that needs CUDA.",
        optional=True,
    )
    yield Patch(
        "transformers.PreTrainedModel.from_pretrained",
        around(loading.load_model),
        "No downloads, quantization, device map or flash attention. Evidence: names of the bases.",
    )
    yield Patch(
        "transformers.PreTrainedTokenizerBase.from_pretrained",
        around(loading.load_tokenizer),
        "No downloads. Evidence: the tokens that are added.",
    )
    yield Patch(
        "torch.compile",
        around(compile_eagerly),
        "There is no compiler. The module is wrapped as usual, so that the names of its weights show it.",
    )
    yield Patch("torch.nn.Module.compile", instead(lambda self, *args, **kwargs: None), "The same; it changes no name.")
    yield Patch("torch.compiler.set_stance", called_with("force_eager"), "The same.", optional=True)
    arguments = TrainerArguments(note)
    yield Patch(
        "transformers.TrainingArguments.__init__",
        around(arguments.adapt),
        "Other versions; no reports, hub or worker processes; no fp16, tf32 or 8-bit optimizer.",
    )
    yield Patch(
        "accelerate.Accelerator.__init__",
        around(arguments.adapt_accelerator),
        "It refuses float16 where there is no CUDA.",
        optional=True,
    )
    yield Patch(
        "transformers.Trainer.__init__", around(arguments.adapt_trainer), "`tokenizer` became `processing_class`."
    )
    yield Patch(
        f"transformers.{model_class}.forward",
        forwards.wrap,
        "Evidence: what reaches the model. peft calls it past the instance. In training, padding is cut for speed.",
    )


def loading_patches(loading: Loading) -> Iterator[Patch]:
    """Yields the additional patches for recording a load."""
    yield Patch(
        "peft.PeftModel.from_pretrained",
        around(loading.load_adapter),
        "Evidence: the folder. A checkpoint that a shortened training never reached is the one at the same fraction.",
    )


def training_patches(recorder: TrainingRecorder, limit: TimeLimit) -> Iterator[Patch]:
    """Yields the additional patches for recording a training, and for ending it in time."""
    yield Patch(
        "transformers.trainer.DEFAULT_CALLBACKS",
        extended_by(limit.make_callback()),
        "Time limit: a Trainer is asked to stop.",
    )
    yield Patch(
        "torch.optim.optimizer.register_optimizer_step_pre_hook",
        called_with(limit.before_step),
        "Time limit: once it is over, a step changes nothing.",
    )
    yield Patch(
        "torch.optim.optimizer.register_optimizer_step_post_hook",
        called_with(limit.after_step),
        "Time limit: the number of steps that count.",
    )
    yield Patch("transformers.Trainer.train", around(recorder.run_trainer), "Time limit: its steps. Evidence: its end.")
    yield Patch(
        "transformers.Trainer.training_step", around(recorder.texts.run_training_step), "Evidence: labels of the batch."
    )
    yield Patch(
        "peft.PeftModel.__init__", around(recorder.adapter.make_peft_model), "Evidence: which model has the adapter."
    )
    yield Patch(
        "peft.PeftModel.save_pretrained", around(recorder.adapter.save_peft_model), "Evidence: the adapter then."
    )
    yield Patch(
        "torch.optim.optimizer.register_optimizer_step_pre_hook",
        called_with(recorder.steps.before_step),
        "Evidence: gradients, and weights before the step.",
    )
    yield Patch(
        "torch.optim.optimizer.register_optimizer_step_post_hook",
        called_with(recorder.after_step),
        "Evidence: the learning rate of each step, and what it moves.",
    )
    yield Patch(
        "torch.nn.Module.load_state_dict",
        around(recorder.adapter.load_state_dict),
        "Evidence: an adapter that is restored, such as the best of several, differs from the one last seen.",
    )
    reason = "Evidence: the trained model's logits, before an adapter that is not peft's is taken off again."
    yield Patch("torch.utils.hooks.RemovableHandle.remove", around(recorder.logits.remove_hook), reason)
    yield Patch("torch.nn.Module.__setattr__", around(recorder.logits.set_attribute), reason)
    yield Patch(
        "torch.utils.data.DataLoader.__iter__", around(recorder.texts.iterate_loader), "Evidence: labels of the batch."
    )
    yield Patch(
        "torch.nn.functional.cross_entropy",
        around(recorder.texts.cross_entropy),
        "Evidence: labels that only the loss sees.",
    )


def cuda_patches(root: str, note: Callable[[str], None]) -> Iterator[Patch]:
    """Yields the patches that substitute the CPU for CUDA."""
    cpu = cuda_on_cpu.CudaOnCpu(root, note)
    reason = "The submission's own branch for CUDA runs: a device `cuda` is the CPU."
    yield Patch(
        "torch.utils._device._device_constructors",
        called_with(),
        "Its cache holds the original factories, which `with torch.device(...)` recognises.",
    )
    for names, answer in cuda_on_cpu.ANSWERS.items():
        yield Patch(
            f"torch.cuda.{names}",
            cpu.answer_with(answer),
            "Reports CUDA as available, to the submission only.",
            optional=True,
        )
    for name, replacement in cuda_on_cpu.REPLACEMENTS.items():
        yield Patch(f"torch.cuda.{name}", instead(replacement), "Nobody else uses it where there is no CUDA.")
    for owner in ("torch.Tensor", "torch.nn.Module"):
        yield Patch(f"{owner}.to", functools.partial(cpu.move, numbers=True), reason)
        yield Patch(f"{owner}.cuda", around(cpu.stay), reason)
    yield Patch("torch.Tensor.pin_memory", instead(lambda self, *args, **kwargs: self), reason)
    yield Patch("torch.nn.Module.to_empty", cpu.move, reason)
    yield Patch(f"torch.{cuda_on_cpu.FACTORIES}", cpu.move, reason)
    yield Patch(f"torch.Tensor.{cuda_on_cpu.METHODS}", cpu.move, reason)
    yield Patch("torch.utils._device.DeviceContext.__init__", cpu.move, reason)
    yield Patch("torch.amp.grad_scaler.GradScaler.__init__", around(cpu.make_scaler), reason)
    yield Patch(
        "torch.amp.autocast_mode.autocast.__init__",
        around(cpu.make_autocast),
        f"{reason} float16 is ten times as slow there; it is bfloat16.",
    )
    yield Patch("torch.Generator", cuda_on_cpu.make_generator, reason)
    yield Patch("safetensors.torch.load_file", cpu.move, reason)
    yield Patch("peft.PeftModel.from_pretrained", cpu.move, reason)
    yield Patch("transformers.Pipeline.__init__", around(cpu.make_pipeline), reason)
