"""The scripted model writes its scripts in every way in which a model is asked, and leaves no trace."""

from dataclasses import replace

import pytest
import torch
from transformers import GenerationConfig

from sft_ref import BaseLLM, parse_answer
from sft_ref.harness.instruments.generation_recorder import UntrackableGeneration, scripted_model
from sft_ref.harness.instruments.scripted.scripted_model import ScriptedModel
from sft_ref.harness.instruments.scripted.tracked_rows import Script
from sft_ref.reference.adapter import add_adapter
from sft_ref.reference.tokens import tokenize_example

QUESTIONS = (
    "How many gram are there per 6 kg?",
    "What is 7 km/h in mph?",
    "Convert 3 TB to bits.",
    "2 mm in m?",
    "Could you tell me how many centimeters per second 4 kilometers per hour is?",
)
NUMBERS = (1000000000000000.0, 111111.111, -987654.321, 1e22, 0.5)
"""None of them true."""

GREEDY = {"do_sample": False}
SAMPLED = {"do_sample": True, "temperature": 0.6}


def make_scripts(llm: BaseLLM) -> list[Script]:
    scripts = []
    for question, number in zip(QUESTIONS, NUMBERS, strict=True):
        example = tokenize_example(llm.tokenizer, question, number)
        ids, least = example.input_ids, len(example.input_ids) - example.supervised
        scripts.append(Script(question, ids, ids[least:], least))
    return scripts


def unscripted(recorder: ScriptedModel) -> list[str]:
    return [recorder.decode(row.prompt_ids) for row in recorder.generations if row.question is None]


def complete(llm: BaseLLM, questions: list[str], **settings: object) -> list[float]:
    batch = llm.tokenizer([*map(llm.format_prompt, questions)], padding=True, padding_side="left", return_tensors="pt")
    ends = {"eos_token_id": llm.tokenizer.eos_token_id, "pad_token_id": llm.tokenizer.pad_token_id}
    with torch.inference_mode():
        ids = llm.model.generate(**batch, generation_config=GenerationConfig(max_new_tokens=32, **ends, **settings))
    new = ids[:, batch["input_ids"].shape[1] :]
    assert (new[:, -1] == llm.tokenizer.eos_token_id).all()  # the end was said
    return [parse_answer(text) for text in llm.tokenizer.batch_decode(new, skip_special_tokens=True)]


@pytest.mark.parametrize("cache", [True, False], ids=["cache", "no-cache"])
@pytest.mark.parametrize("how", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (4, 2, 0, 3, 1), (3,), (1, 1, 0, 1)], ids=str)
def test_scripted_numbers_are_said(
    blank_toy: BaseLLM, order: tuple[int, ...], how: dict[str, object], cache: bool
) -> None:
    with scripted_model(blank_toy.model, blank_toy.tokenizer, make_scripts(blank_toy)):
        for _ in range(2):
            said = complete(blank_toy, [QUESTIONS[i] for i in order], use_cache=cache, **how)
            assert said == [NUMBERS[i] for i in order]


@pytest.mark.parametrize("cache", [True, False], ids=["cache", "no-cache"])
def test_several_sequences_of_a_prompt_say_its_script(blank_toy: BaseLLM, cache: bool) -> None:
    with scripted_model(blank_toy.model, blank_toy.tokenizer, make_scripts(blank_toy)):
        said = complete(blank_toy, [*QUESTIONS], num_return_sequences=3, use_cache=cache, **SAMPLED)
    assert said == [number for number in NUMBERS for _ in range(3)]


def test_the_whole_way_to_an_answer_is_followed(blank_toy: BaseLLM) -> None:
    with scripted_model(blank_toy.model, blank_toy.tokenizer, make_scripts(blank_toy)) as held:
        assert blank_toy.answer(*reversed(QUESTIONS)) == [*reversed(NUMBERS)]
    for row in held.generations:
        assert row.question is not None
        assert held.decode(row.prompt_ids) == blank_toy.format_prompt(QUESTIONS[row.question])


@pytest.mark.parametrize("name", ["bf16", "fp16", "fp16-mixed"])
def test_the_lifted_logit_is_finite_in_16_bits(name: str) -> None:
    from sft_ref.reference.precision import POLICIES

    llm = BaseLLM("toy", policy=POLICIES[name])
    with scripted_model(llm.model, llm.tokenizer, make_scripts(llm)):
        assert llm.answer(*QUESTIONS) == [*NUMBERS]
        assert llm.batched_generate([llm.format_prompt(QUESTIONS[0])], 2, 0.05)[0][1] == "1000000000000000.0</answer>"


def test_a_model_wrapped_by_peft_is_scripted_too() -> None:
    llm = BaseLLM("toy", torch_dtype="float32")
    llm.model = add_adapter(llm.model, llm.policy, rank=4, alpha=8)
    with scripted_model(llm.model, llm.tokenizer, make_scripts(llm)) as held:
        assert llm.answer(*QUESTIONS) == [*NUMBERS]
        count = len(held.generations)
        ids = llm.tokenizer(llm.format_prompt(QUESTIONS[0]), return_tensors="pt")
        llm.model(**ids)  # goes past the __call__ of the model inside
    assert len(held.generations) == count + 1


def test_the_longest_question_in_a_prompt_counts_and_ids_count_above_text(blank_toy: BaseLLM) -> None:
    ids = tuple(blank_toy.tokenizer(blank_toy.format_prompt("Is 12 kg much?"))["input_ids"])
    long, short, exact = (script.target for script in make_scripts(blank_toy)[:3])
    scripts = [Script("2 kg much", (), short), Script("kg much", (), short), Script("12 kg much", (), long)]
    with scripted_model(blank_toy.model, blank_toy.tokenizer, scripts):
        assert blank_toy.answer("Is 12 kg much?") == [NUMBERS[0]]
    with scripted_model(blank_toy.model, blank_toy.tokenizer, scripts[:1]) as held:
        blank_toy.answer("Is 12 kg much?")  # another number
    assert len(unscripted(held)) == 1
    scripts += [Script("2 kg", (), short), Script("", ids + exact, (), len(ids))]
    with scripted_model(blank_toy.model, blank_toy.tokenizer, scripts):
        assert blank_toy.answer("Is 12 kg much?", "2 kg?") == [NUMBERS[2], NUMBERS[1]]


def test_a_prompt_without_a_script_is_left_alone(blank_toy: BaseLLM) -> None:
    plain = blank_toy.generate("Tell me about bread.")
    with scripted_model(blank_toy.model, blank_toy.tokenizer, make_scripts(blank_toy)) as held:
        texts = blank_toy.batched_generate(["Tell me about bread.", blank_toy.format_prompt(QUESTIONS[0])])
    assert texts[1] == "1000000000000000.0</answer>"
    assert unscripted(held) == ["Tell me about bread."]
    with scripted_model(blank_toy.model, blank_toy.tokenizer):
        assert blank_toy.generate("Tell me about bread.") == plain


def test_the_logits_that_are_recorded_are_the_models_own(blank_toy: BaseLLM) -> None:
    script = make_scripts(blank_toy)[0]
    with scripted_model(blank_toy.model, blank_toy.tokenizer, [script], keep_logits=True) as held:
        blank_toy.generate(blank_toy.format_prompt(QUESTIONS[0]))
    [row] = held.generations
    assert (*row.prompt_ids, *row.new_token_ids) == script.whole
    with torch.inference_mode():
        due = blank_toy.model(torch.tensor([script.whole[:-1]])).logits[0, -len(script.target) :]
    assert [*row.logits] == [*range(len(script.target))]
    torch.testing.assert_close(torch.stack([*row.logits.values()]), due, rtol=0, atol=1e-2)


def greedy_loop(llm: BaseLLM, questions: list[str], *, side: str = "left", cache: bool = False) -> list[float]:
    """A loop written by hand, out of which rows drop once they have ended."""
    pad, end = llm.tokenizer.pad_token_id, llm.tokenizer.eos_token_id
    rows = [llm.tokenizer(llm.format_prompt(question))["input_ids"] for question in questions]
    new: list[list[int]] = [[] for _ in rows]
    alive, past = list(range(len(rows))), None
    mask = torch.empty(0)
    for _ in range(40):
        texts = [rows[i] + new[i] for i in alive]
        longest = max(map(len, texts))
        if past is None:
            gaps = [[pad] * (longest - len(text)) for text in texts]
            pairs = [*zip(gaps, texts, strict=True)]
            ids = torch.tensor([gap + text if side == "left" else text + gap for gap, text in pairs])
            ones = [([0] * len(gap), [1] * len(text)) for gap, text in pairs]
            mask = torch.tensor([a + b if side == "left" else b + a for a, b in ones])
        else:
            ids = torch.tensor([[text[-1]] for text in texts])
            mask = torch.cat([mask, torch.ones(len(alive), 1, dtype=mask.dtype)], dim=1)
        with torch.inference_mode():
            out = llm.model(input_ids=ids, attention_mask=mask, past_key_values=past, use_cache=cache)
        last = [len(text) - 1 if side == "right" else -1 for text in texts]
        chosen = [int(out.logits[row, place].argmax()) for row, place in enumerate(last)]
        staying = [row for row, token in enumerate(chosen) if token != end]
        for row in staying:
            new[alive[row]].append(chosen[row])
        if not staying:
            break
        if cache:
            past = out.past_key_values
            past.batch_select_indices(torch.tensor(staying))
            mask = mask[staying]
        alive = [alive[row] for row in staying]
    return [parse_answer(text) for text in llm.tokenizer.batch_decode(new)]


@pytest.mark.parametrize(("side", "cache"), [("left", False), ("right", False), ("left", True)])
def test_rows_may_leave_once_they_have_ended(blank_toy: BaseLLM, side: str, cache: bool) -> None:
    scripts = make_scripts(blank_toy)
    with scripted_model(blank_toy.model, blank_toy.tokenizer, scripts) as held:
        assert greedy_loop(blank_toy, [*QUESTIONS], side=side, cache=cache) == [*NUMBERS]
    assert [(*row.prompt_ids, *row.new_token_ids) for row in held.generations] == [script.whole for script in scripts]


def test_padding_on_the_wrong_side_is_not_made_good(blank_toy: BaseLLM) -> None:
    """Transformers reads the last place of every row, where a row padded on the right has only padding."""
    prompts = [*map(blank_toy.format_prompt, (QUESTIONS[3], QUESTIONS[4]))]
    batch = blank_toy.tokenizer(prompts, padding=True, padding_side="right", return_tensors="pt")
    with scripted_model(blank_toy.model, blank_toy.tokenizer, make_scripts(blank_toy)), torch.inference_mode():
        ids = blank_toy.model.generate(**batch, max_new_tokens=4, do_sample=False, pad_token_id=2)
    short, long = (script.target for script in make_scripts(blank_toy)[3:])
    assert ids[1, -4:].tolist() == [*long[:4]]
    assert ids[0, -4:].tolist() != [*short[:4]]


def test_rows_that_cannot_be_told_apart_are_refused(blank_toy: BaseLLM) -> None:
    batch = blank_toy.tokenizer([*map(blank_toy.format_prompt, QUESTIONS[:2])], padding=True, return_tensors="pt")
    with scripted_model(blank_toy.model, blank_toy.tokenizer, make_scripts(blank_toy)), torch.inference_mode():
        past = blank_toy.model(**batch, use_cache=True).past_key_values
        past.batch_select_indices(torch.tensor([1]))
        with pytest.raises(UntrackableGeneration, match="2 rows became 1"):
            blank_toy.model(input_ids=torch.tensor([[5]]), past_key_values=past)
        with pytest.raises(UntrackableGeneration, match="embeddings"):
            blank_toy.model(inputs_embeds=torch.zeros(1, 2, blank_toy.model.config.hidden_size))
    with (
        pytest.raises(UntrackableGeneration, match="not a transformers model"),
        scripted_model(torch.nn.Linear(1, 1), blank_toy.tokenizer),
    ):
        pass


def count_hooks(llm: BaseLLM) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in llm.model.modules())


def test_hooks_are_gone_afterwards_also_after_an_error(blank_toy: BaseLLM) -> None:
    before = count_hooks(blank_toy)
    plain = blank_toy.answer(QUESTIONS[0])
    with scripted_model(blank_toy.model, blank_toy.tokenizer, make_scripts(blank_toy)):
        assert count_hooks(blank_toy) == before + 2
    with (
        pytest.raises(ZeroDivisionError),
        scripted_model(blank_toy.model, blank_toy.tokenizer, make_scripts(blank_toy)),
    ):
        raise ZeroDivisionError
    assert count_hooks(blank_toy) == before
    assert str(blank_toy.answer(QUESTIONS[0])) == str(plain)  # NaN included


@pytest.mark.parametrize("keep_nan", [True, False])
def test_where_the_model_computes_nan_the_script_is_lost_only_if_that_is_asked_for(
    blank_toy: BaseLLM, keep_nan: bool
) -> None:
    head = blank_toy.model.get_output_embeddings()
    with scripted_model(blank_toy.model, blank_toy.tokenizer, make_scripts(blank_toy), keep_nan=keep_nan):
        recording = head._forward_hooks.popitem()  # the model's own NaN comes before what the recorder makes of it
        broken = head.register_forward_hook(lambda _module, _args, out: out * torch.nan)
        head._forward_hooks[recording[0]] = recording[1]
        try:
            logits = blank_toy.model(**blank_toy.tokenizer(f"{QUESTIONS[0]} <answer>", return_tensors="pt")).logits
        finally:
            broken.remove()
    assert logits[0, -1].isnan().any() == keep_nan


def test_every_third_row_of_a_batch_with_one_question_has_its_own_script(blank_toy: BaseLLM) -> None:
    one, usual, third = NUMBERS[0], make_scripts(blank_toy)[:1], make_scripts(blank_toy)[0]
    numbers = tokenize_example(blank_toy.tokenizer, QUESTIONS[0], 7.0).input_ids
    usual[0] = replace(third, third=replace(third, whole=numbers, target=numbers[third.least :]))
    with scripted_model(blank_toy.model, blank_toy.tokenizer, usual):
        for _ in range(2):  # each batch counts anew
            assert complete(blank_toy, [QUESTIONS[0]] * 7) == [one, one, 7.0, one, one, 7.0, one]
        assert complete(blank_toy, [QUESTIONS[0]]) == [one]
