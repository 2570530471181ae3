"""Makes the toy: corpus, tokenizer, pre-training, files. Takes about a quarter of an hour on one core.

The weights are the same for the same kind of machine, libraries and number of threads; corpus and tokenizer
are the same everywhere.
"""

import itertools
import json
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from torch.optim.lr_scheduler import OneCycleLR
from transformers import LlamaConfig, LlamaForCausalLM

from .corpus import documents
from .tokenizer import BASE_ROLES, CHAT_TEMPLATE, INSTRUCT_ROLES, VOCAB_SIZE, learn_tokenizer, save_tokenizer

SEED = 7
STEPS = 7000
PEAK_MATRIX_RATE, PEAK_RATE = 0.02, 3e-3
_TOKENIZER_DOCUMENTS = 20_000
_POOL = 16_384  # number of documents that are sorted by length together
_BATCH = 32  # documents

# In the format of SmolLM2's config.json: transformers 4 and 5 understand `torch_dtype` and `rope_theta`.
CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 192,
    "initializer_range": 0.02,
    "intermediate_size": 384,
    "max_position_embeddings": 8192,
    "mlp_bias": False,
    "model_type": "llama",
    "num_attention_heads": 6,
    "num_hidden_layers": 3,
    "num_key_value_heads": 2,
    "pad_token_id": 2,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-5,
    "rope_scaling": None,
    "rope_theta": 100000,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "vocab_size": VOCAB_SIZE,
}
GENERATION_CONFIG = {"_from_model_config": True, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}


def corpus_tokenizer(seed: int = SEED) -> Tokenizer:
    """Learns the tokenizer from the first documents of the corpus; cheap enough to repeat in a test."""
    return learn_tokenizer(itertools.islice(documents(seed), _TOKENIZER_DOCUMENTS))


def make_toy(folder: Path, on_step: Callable[[int, float], None]) -> None:
    """Writes `model/` and `base_tokenizer/` into `folder`, both completely or neither.

    `on_step` is called with the number of steps done and the loss in nats per token.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".making-") as made:
        tokenizer = corpus_tokenizer()
        model_folder, base_folder = Path(made, "model"), Path(made, "base_tokenizer")
        save_tokenizer(tokenizer, model_folder, INSTRUCT_ROLES, CHAT_TEMPLATE)
        save_tokenizer(tokenizer, base_folder, BASE_ROLES, None)
        _save_model(pretrain(tokenizer, on_step), model_folder)
        for new in (model_folder, base_folder):
            shutil.rmtree(folder / new.name, ignore_errors=True)
            new.rename(folder / new.name)


def pretrain(tokenizer: Tokenizer, on_step: Callable[[int, float], None]) -> LlamaForCausalLM:
    """Trains a model in fp32 on `STEPS` batches."""
    torch.manual_seed(SEED)
    model = LlamaForCausalLM(LlamaConfig.from_dict(CONFIG))
    model.float()
    optimizers = _optimizers(model)
    schedules = [
        OneCycleLR(optimizer, optimizer.defaults["lr"], STEPS, pct_start=0.1, cycle_momentum=False)
        for optimizer in optimizers
    ]
    for step, (ids, mask) in enumerate(itertools.islice(_batches(tokenizer), STEPS), start=1):
        logits = model(input_ids=ids, use_cache=False).logits
        labels = ids.masked_fill(~mask, -100)
        loss = functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
        on_step(step, loss.item())
    return model


def _optimizers(model: LlamaForCausalLM) -> tuple[torch.optim.Optimizer, ...]:
    """Returns Muon for the matrices of the layers, where it learned more in half the steps, and AdamW for the rest."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    return (
        torch.optim.Muon(matrices, PEAK_MATRIX_RATE, weight_decay=0.0),
        torch.optim.AdamW(others, PEAK_RATE, betas=(0.9, 0.98), fused=True),
    )


def _batches(tokenizer: Tokenizer) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yields, without end, ids and the mask of real tokens, both (documents, tokens), grouped by similar lengths."""
    rng = random.Random(SEED)
    texts = documents(SEED)
    while True:
        pool = tokenizer.encode_batch(list(itertools.islice(texts, _POOL)))
        rows = sorted((encoding.ids for encoding in pool), key=len)
        groups = [rows[start : start + _BATCH] for start in range(0, _POOL, _BATCH)]
        rng.shuffle(groups)
        for group in groups:
            lengths = torch.tensor([len(row) for row in group])
            ids = pad_sequence([torch.tensor(row) for row in group], batch_first=True)
            yield ids, torch.arange(ids.shape[1]) < lengths[:, None]


def _save_model(model: LlamaForCausalLM, folder: Path) -> None:
    tensors = {
        name: tensor.to(torch.bfloat16).contiguous()
        for name, tensor in model.state_dict().items()
        if name != "lm_head.weight"  # tied to the embedding, so stored only once
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    for name, content in (("config.json", CONFIG), ("generation_config.json", GENERATION_CONFIG)):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
