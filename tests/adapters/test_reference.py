"""The reference's own `load` takes what peft loads."""

from __future__ import annotations

from pathlib import Path

import families
import pytest

import sft_ref
from sft_ref.errors import AdapterError
from sft_ref.models import TOY


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings:UserWarning")  # so has the toy
@pytest.mark.parametrize("target", [["q_proj", "embed_tokens"], ["q_proj"]])
def test_load_takes_an_adapter_of_the_embedding_and_refuses_one_that_lacks_a_tensor(
    target: list[str], tmp_path: Path
) -> None:
    folder = families.train(TOY, tmp_path / "adapter", target_modules=target)
    llm = sft_ref.load(folder, base="toy")
    assert sum("lora_" in name for name, _ in llm.model.named_parameters()) == len(target) * 2 + 4
    families.drop(folder, "0.self_attn.q_proj.lora_B")
    with pytest.raises(AdapterError, match="lacks"):
        sft_ref.load(folder, base="toy")
