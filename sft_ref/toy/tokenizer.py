"""The toy's tokenizer: byte-level BPE that splits tags, digits and spaces as SmolLM2's does."""

import itertools
import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from .corpus import END_OF_TEXT, END_OF_TURN, START_OF_TURN, SYSTEM_PROMPT

VOCAB_SIZE = 768  # enough for each unit and each word of the questions to be one token
SPECIAL_TOKENS = (END_OF_TEXT, START_OF_TURN, END_OF_TURN)  # ids 0, 1, 2

# Tokens of SmolLM2 at which answers begin or end, too rare in the corpus to be learned from it.
_PIECES = (
    *("  ", "   ", "\n\n", "\n ", " -", " +", " --", "--"),
    *("->", "><", "></", ">.", " </", " (", ").", "..", "..."),
)
_PIECE_COUNT = 2000  # enough to come before the rarer words

# As in the metadata of SmolLM2-135M-Instruct's GGUF file.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\n" + SYSTEM_PROMPT + "<|im_end|>\n' }}"
    "{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
INSTRUCT_ROLES = {
    "bos_token": START_OF_TURN,
    "eos_token": END_OF_TURN,
    "unk_token": END_OF_TEXT,
    "pad_token": END_OF_TURN,
}
BASE_ROLES = {"bos_token": END_OF_TEXT, "eos_token": END_OF_TEXT, "unk_token": END_OF_TEXT}


def learn_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Learns a tokenizer of `VOCAB_SIZE` tokens, which adds no special tokens to a text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    apart = (text.replace(">-", "> -") for text in texts)  # SmolLM2 has no token `>-`
    tokenizer.train_from_iterator(itertools.chain(apart, _PIECES * _PIECE_COUNT), trainer)
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path, roles: dict[str, str], chat_template: str | None) -> None:
    """Writes the files that transformers 4 and 5 both read; `roles` maps roles such as eos_token to special tokens."""
    folder.mkdir()
    config = {
        **roles,
        "add_prefix_space": False,
        "additional_special_tokens": [START_OF_TURN, END_OF_TURN] if chat_template else list(SPECIAL_TOKENS),
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": 8192,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    if chat_template:
        config["chat_template"] = chat_template
    tokenizer.save(str(folder / "tokenizer.json"))
    for name, content in (("tokenizer_config.json", config), ("special_tokens_map.json", roles)):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
