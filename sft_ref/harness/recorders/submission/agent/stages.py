"""Imports a submission, and finds its stages by the names of the course's layout or of the general form."""

import importlib
import inspect
import re
import sys
from pathlib import Path

NAMES = {
    "train": ("train_model", "train", "finetune", "fine_tune"),
    "load": ("load", "load_model", "load_sft"),
    "test": ("test_model", "test", "evaluate"),
}

PLACE = re.compile(
    r"((output|out|save|saved|model|ckpt|checkpoint|adapter|sft|lora|target)_?)*(dir|directory|path|folder)"
    r"|out(put)?|ckpt|save_to|adapter"
)
"""Names of arguments that stand for the adapter's folder."""


class Submission:
    """Its modules, and its stages as they are called.

    Args:
        root: folder that its package lies in, also its working folder.
        modules: names of modules to import, the one with the stages first.
        output: where its adapter is wanted.
    """

    def __init__(self, root, modules, output):
        self.output = output
        for path in (root, root + "/" + modules[0].replace(".", "/").rpartition("/")[0]):
            if path not in sys.path:
                sys.path.insert(0, path)
        self.modules = []
        for number, name in enumerate(modules):
            try:
                self.modules.append(importlib.import_module(name))
            except ImportError:
                if number == 0:
                    raise

    def find(self, stage):
        """The function of a stage, or None."""
        for name in NAMES[stage]:
            function = getattr(self.modules[0], name, None)
            if callable(function):
                return function
        return None

    def call(self, stage):
        """Calls a stage, with the adapter's folder where it takes one."""
        function = self.find(stage)
        if function is None:
            raise AttributeError("{} has no {}".format(self.modules[0].__name__, " or ".join(NAMES[stage][:2])))
        given = {}
        for name, each in inspect.signature(function).parameters.items():
            if each.kind in (each.VAR_KEYWORD, each.VAR_POSITIONAL):
                continue
            is_place = PLACE.fullmatch(name.lower()) and (each.default is None or isinstance(each.default, (str, Path)))
            if each.default is each.empty or (is_place and (stage != "load" or each.default is None)):
                given[name] = self.output
        return function(**given)
