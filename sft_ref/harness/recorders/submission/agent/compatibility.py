"""What a submission may count on and this machine lacks, supplied from outside; each with a note."""

import functools
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import sys
import types

OPTIONAL_MODULES = (
    "fire",
    "tensorboard",
    "tensorboardX",
    "lightning",
    "pytorch_lightning",
    "wandb",
    "dotenv",
    "matplotlib",
    "rich",
    "typer",
    "click",
    "trackio",
    "tabulate",
    "termcolor",
    "colorama",
    "seaborn",
    "loguru",
    "tqdm",
)
"""Modules that log, draw or parse a command line; where one is missing, an empty one stands in."""

_TRAINING = {"Fabric", "LightningDataModule", "LightningModule", "Trainer"}
"""What no empty one can stand in for, in such a module: it trains."""

GONE = (
    "_n_gpu",
    "adafactor",
    "fp16_backend",
    "fp16_opt_level",
    "group_by_length",
    "half_precision_backend",
    "include_inputs_for_metrics",
    "include_tokens_per_second",
    "jit_mode_eval",
    "logging_dir",
    "no_cuda",
    "overwrite_output_dir",
    "past_index",
    "per_gpu_eval_batch_size",
    "per_gpu_train_batch_size",
    "save_safetensors",
    "torchdynamo",
    "tpu_num_cores",
    "use_ipex",
    "use_legacy_prediction_loop",
    "use_mps_device",
)
"""Settings of transformers 4's TrainingArguments that 5 has no more, and that change nothing of what is learned."""

RENAMED = {"evaluation_strategy": "eval_strategy"}


class _Empty(types.ModuleType):
    """Any name in it is something that can be called, entered, subclassed, and does nothing."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if name in _TRAINING and "lightning" in self.__name__:
            top = self.__name__.partition(".")[0]
            raise ModuleNotFoundError(f"No module named {top!r}", name=top)
        return _Nothing


class _Nothing:
    """Can be called, entered and subclassed; iterated, it gives what it was made of: a bar around a loader, say."""

    def __init__(self, *args, **kwargs):
        given = args[0] if args else ()
        self._wrapped = given if hasattr(given, "__iter__") and not isinstance(given, str) else ()

    def __call__(self, *args, **kwargs):
        if len(args) == 1 and callable(args[0]):
            return args[0]
        return _Nothing(*args) if args else self

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __enter__(self):
        return self

    def __exit__(self, *args):
        return None

    def __iter__(self):
        return iter(self._wrapped)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, root, note):
        self.root, self.note = root, note

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in OPTIONAL_MODULES and self._is_for_submission():
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def _is_for_submission(self):
        """Libraries look for modules as well, and must be told the truth."""
        frame = sys._getframe(2)  # noqa: SLF001
        while frame is not None and "importlib" in frame.f_code.co_filename:
            frame = frame.f_back
        return frame is not None and frame.f_code.co_filename.startswith(self.root)

    def create_module(self, spec):
        self.note(f"the module {spec.name} is not installed here; an empty one stands in")
        return _Empty(spec.name)

    def exec_module(self, module):
        module.__path__ = []


def stub_optional_modules(root, note):
    """Missing modules that change no answer get an empty stand-in, where the submission itself imports them."""
    if importlib.util.find_spec("tensorboard") is None:
        sys.modules["torch.utils.tensorboard"] = _Empty("torch.utils.tensorboard")
    sys.meta_path.append(_Finder(root, note))


def patch_loading(note):
    """Ways of loading a model that need CUDA, or packages that are not here, are left out."""
    import torch
    import transformers
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    original = PreTrainedModel.from_pretrained.__func__

    @functools.wraps(original)
    def from_pretrained(cls, *args, **kwargs):
        _keep_to_cache(kwargs)
        if not torch.cuda.is_available():
            for name in ("device_map", "quantization_config", "load_in_8bit", "load_in_4bit", "max_memory"):
                if kwargs.pop(name, None) not in (None, False) and name != "device_map":
                    note(f"{name} needs CUDA; the model was loaded without it")
            if str(kwargs.get("attn_implementation", "")).startswith("flash"):
                note("flash attention needs CUDA; the model's own was used")
                del kwargs["attn_implementation"]
        return original(cls, *args, **kwargs)

    PreTrainedModel.from_pretrained = classmethod(from_pretrained)
    read = PreTrainedTokenizerBase.from_pretrained.__func__

    @functools.wraps(read)
    def read_tokenizer(cls, *args, **kwargs):
        _keep_to_cache(kwargs)
        return read(cls, *args, **kwargs)

    PreTrainedTokenizerBase.from_pretrained = classmethod(read_tokenizer)
    if not torch.cuda.is_available() and hasattr(transformers.BitsAndBytesConfig, "post_init"):
        transformers.BitsAndBytesConfig.post_init = lambda self: None  # looks for a package that needs CUDA
    _compile_eagerly()


def _compile_eagerly():
    """What is compiled runs eagerly, but is wrapped as usual, so that the names of its weights show it."""
    import torch

    original = torch.compile

    @functools.wraps(original)
    def compiled(model=None, **kwargs):
        for name in ("mode", "options"):  # of the default backend
            kwargs.pop(name, None)
        return original(model, **{**kwargs, "backend": "eager"})

    torch.compile = compiled
    torch.nn.Module.compile = lambda self, *args, **kwargs: None  # changes no name
    if hasattr(torch.compiler, "set_stance"):
        torch.compiler.set_stance("force_eager")


def _keep_to_cache(kwargs):
    """Another cache folder, or a download in any case, finds nothing here."""
    for name in ("cache_dir", "force_download", "resume_download"):
        kwargs.pop(name, None)


def patch_training(note):  # noqa: C901  # a list of small matters
    """Settings of Trainer that need CUDA, a service, or another version of transformers."""
    import torch
    import transformers

    known = set(inspect.signature(transformers.TrainingArguments.__init__).parameters)
    original = transformers.TrainingArguments.__init__

    @functools.wraps(original)
    def init(self, *args, **kwargs):  # noqa: C901  # a list of small matters
        for name in [name for name in kwargs if name not in known]:
            if name in RENAMED and RENAMED[name] in known:
                kwargs[RENAMED[name]] = kwargs.pop(name)
                note(f"TrainingArguments({name}) is {RENAMED[name]} in transformers {transformers.__version__}")
            elif name in GONE:
                kwargs.pop(name)
                note(f"TrainingArguments({name}) is gone in transformers {transformers.__version__}; left out")
            elif name == "warmup_ratio":
                kwargs["warmup_steps"] = kwargs.pop(name)
        if not torch.cuda.is_available():
            for name in ("fp16", "fp16_full_eval", "tf32"):
                if kwargs.get(name):
                    note(f"TrainingArguments({name}=True) needs CUDA; it ran without")
                    kwargs.pop(name)
            if kwargs.get("bf16") or kwargs.get("bf16_full_eval"):
                kwargs["use_cpu"] = True  # without which bfloat16 is refused where there is no CUDA
            if "bnb" in str(kwargs.get("optim", "")) or "8bit" in str(kwargs.get("optim", "")):
                note("optim={!r} needs CUDA; adamw_torch was used".format(kwargs["optim"]))
                kwargs["optim"] = "adamw_torch"
        kwargs.update(report_to="none", disable_tqdm=True)
        if kwargs.get("push_to_hub"):
            note("nothing is pushed to the hub")
            kwargs["push_to_hub"] = False
        kwargs.pop("dataloader_num_workers", None)
        kwargs.pop("dataloader_persistent_workers", None)
        kwargs.pop("dataloader_prefetch_factor", None)
        original(self, *args, **kwargs)

    transformers.TrainingArguments.__init__ = init
    _half_precision(note)

    start = transformers.Trainer.__init__

    @functools.wraps(start)
    def trainer(self, *args, **kwargs):
        if "tokenizer" in kwargs and "tokenizer" not in inspect.signature(start).parameters:
            note(f"Trainer(tokenizer) is processing_class in transformers {transformers.__version__}")
            kwargs["processing_class"] = kwargs.pop("tokenizer")
        start(self, *args, **kwargs)

    transformers.Trainer.__init__ = trainer


def _half_precision(note):
    """Accelerate refuses float16 where there is no CUDA."""
    import torch

    accelerate = sys.modules.get("accelerate")  # Trainer has imported it where there is one
    if accelerate is None:
        return
    original = accelerate.Accelerator.__init__

    @functools.wraps(original)
    def init(self, *args, **kwargs):
        if kwargs.get("mixed_precision") == "fp16" and not torch.cuda.is_available():
            note("Accelerator(mixed_precision='fp16') needs CUDA; it ran without")
            kwargs["mixed_precision"] = "no"
        original(self, *args, **kwargs)

    accelerate.Accelerator.__init__ = init
