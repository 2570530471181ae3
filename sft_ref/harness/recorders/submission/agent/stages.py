"""Imports a submission, and finds its stages by the names of the course's layout or of the general form."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from .results import to_number

NAMES = {
    "train": ("train_model", "train", "finetune", "fine_tune"),
    "load": ("load", "load_model", "load_sft"),
    "test": ("test_model", "test", "evaluate"),
}

FOLDER = re.compile(
    r"((output|out|save|saved|model|ckpt|checkpoint|adapter|sft|lora|target)_?)*(dir|directory|path|folder)"
    r"|out(put)?|ckpt|save_to|adapter"
)
"""Names of arguments that stand for the adapter's folder."""

_FIGURE = r"(\d+(?:\.\d+)?(?:e-?\d+)?)(?:\s*/\s*(\d+))?\s*(%?)"


class Submission:
    """The modules of a submission, and its stages as they are called.

    Args:
        root: folder that its package lies in, also its working folder.
        modules: names of modules to import, the one with the stages first.
        output: where its adapter is wanted.
    """

    def __init__(self, root: str, modules: Sequence[str], output: str) -> None:
        self.output = output
        for path in (root, root + "/" + modules[0].replace(".", "/").rpartition("/")[0]):
            if path not in sys.path:
                sys.path.insert(0, path)
        self.modules: list[ModuleType] = []
        for number, name in enumerate(modules):
            try:
                self.modules.append(importlib.import_module(name))
            except ImportError:
                if number == 0:
                    raise

    def find(self, stage: str) -> Callable[..., Any] | None:
        """The function of a stage, or None."""
        for name in NAMES[stage]:
            function = getattr(self.modules[0], name, None)
            if callable(function):
                return function  # type: ignore[no-any-return]  # of foreign code
        return None

    def call(self, stage: str) -> Any:
        """Calls a stage, with the adapter's folder where it takes one."""
        function = self.find(stage)
        if function is None:
            raise AttributeError("{} has no {}".format(self.modules[0].__name__, " or ".join(NAMES[stage][:2])))
        given = {}
        for name, each in inspect.signature(function).parameters.items():
            if each.kind in (each.VAR_KEYWORD, each.VAR_POSITIONAL):
                continue
            is_path = each.default is None or isinstance(each.default, (str, Path))
            is_folder = FOLDER.fullmatch(name.lower()) and is_path
            if each.default is each.empty or (is_folder and (stage != "load" or each.default is None)):
                given[name] = self.output
        return function(**given)


def read_metrics(result: Any, output: str) -> dict[str, list[float | str]]:
    """Accuracy and answer_rate, from what was returned or else printed: every number that may be meant, as a share."""
    found: dict[str, list[float | str]] = {}
    output = re.sub(r"\b(np\.)?float\d+|\btensor", "", output)
    for name, pattern in (("accuracy", "accuracy"), ("answer_rate", "answer[ _-]?rate")):
        value = getattr(result, name, None)
        if value is None and isinstance(result, dict):
            value = result.get(name)
        if value is not None:
            found[name] = [to_number(value)]
            continue
        found[name] = []
        for seen in re.finditer(pattern, output, flags=re.IGNORECASE):
            line = re.split(r"\n|accuracy|answer[ _-]?rate", output[seen.end() : seen.end() + 80], flags=re.IGNORECASE)
            for number, of, percent in re.findall(_FIGURE, line[0]):
                value = float(number)
                shares = [value / 100] if percent or value > 1 else [value]
                found[name] += [*shares, *([value / float(of)] if of and float(of) else [])]
    return found
