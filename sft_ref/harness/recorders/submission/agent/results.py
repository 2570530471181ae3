"""What the agent writes for the judge: a file a section, each whole or not there; a crash loses only the rest."""

import json
import math
import os
import sys
import traceback
from contextlib import contextmanager
from pathlib import Path

from .missing_modules import missing_module, missing_requirements


class ResultWriter:
    """Writes sections to a folder.

    Args:
        folder: emptied by the judge.
        code: the submission's folder; of an exception, the deepest line there is the one that is named.
        nonce: goes into every file, so that one written by someone else is known.
    """

    def __init__(self, folder, code, nonce):
        self.folder, self.code, self.nonce = Path(folder), str(code), nonce
        self.notes = []

    def write(self, section, **content):
        """One JSON file, replaced in one step."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"nonce": self.nonce, **_plain(content)})
        path = self.folder / (section + ".json")
        part = path.with_suffix(".part")
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)

    def tensors(self, section, tensors):
        """One safetensors file."""
        from safetensors.torch import save_file

        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / (section + ".part")
        save_file({name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}, str(part))
        os.replace(part, self.folder / (section + ".safetensors"))

    def note(self, text):
        """What a reader of the report must know of how the code was run."""
        if text not in self.notes:
            self.notes.append(text)

    @contextmanager
    def section(self, name):
        """Within it, an exception of the submission is written down in place of what the section would tell."""
        try:
            yield
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            self.write(name, crash=self.crash(error))

    def crash(self, error):
        """What was raised, by which line of the submission, and which module it lacks, if that is why."""
        where, frames = "", traceback.extract_tb(error.__traceback__)
        for frame in frames:
            if frame.filename.startswith(self.code):
                where = f"{os.path.relpath(frame.filename, self.code)}:{frame.lineno}: {frame.line}"
        lacking = missing_module(error, self.code)
        return {
            **({"lacking": lacking, "requirements": missing_requirements(self.code)} if lacking else {}),
            "type": type(error).__name__,
            "message": " ".join(str(error).split())[:500],
            "where": where,
            "functions": [frame.name for frame in frames],
            "trace": "".join(traceback.format_exception(type(error), error, error.__traceback__))[-3000:],
        }


def _plain(value):
    """As JSON can hold it; NaN and infinities as text, which float() reads back."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return repr(value)[:300]
    return number if math.isfinite(number) else str(number)


def quiet():
    """Bars and notes of the libraries would only fill the output."""
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    sys.dont_write_bytecode = True


def count_dtypes(model):
    """Number of parameters by dtype, of the base and of the adapter; also of float buffers."""
    counts = {"base": {}, "adapter": {}, "buffers": {}}
    if not hasattr(model, "named_parameters"):
        return counts
    for name, tensor in model.named_parameters():
        part = counts["adapter" if "lora_" in name else "base"]
        part[str(tensor.dtype)] = part.get(str(tensor.dtype), 0) + 1
    for _, tensor in model.named_buffers():
        if tensor.is_floating_point():
            counts["buffers"][str(tensor.dtype)] = counts["buffers"].get(str(tensor.dtype), 0) + 1
    return counts
