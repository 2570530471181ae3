"""Makes a fine-tune by TRL's SFTTrainer an implementation of the protocol, given the function that makes the trainer.

With pytest::

    def make_trainer(folder, rows, settings):
        data = Dataset.from_list([{"messages": conversation(question, answer)} for question, answer in rows])
        arguments = SFTConfig(str(folder), max_steps=settings.steps, assistant_only_loss=True)
        return SFTTrainer("my_base", arguments, train_dataset=data, peft_config=LoraConfig(target_modules="all-linear"))

    MINE = SFTTrainerImplementation(make_trainer, "my_base")

    @pytest.mark.parametrize("check", checks_for(MINE, rows=ROWS), ids=str)
    def test_contract(check):
        check()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .answerer import MakePrompt
from .transformers import MakeTrainer, TrainerImplementation

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def chat_prompt(tokenizer: PreTrainedTokenizerBase, question: str) -> str:
    """Renders a question with the tokenizer's chat template, followed by the generation prompt."""
    messages = [{"role": "user", "content": question}]
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


class SFTTrainerImplementation(TrainerImplementation):
    """A fine-tune by an SFTTrainer; by default, prompts are written by the chat template.

    Args:
        make_trainer: function that makes the trainer, as `TrainerImplementation` takes it.
        base: name or folder of the base model.
        prompt: tokenizer and question -> prompt, with all its special tokens.
        options: other arguments of `TrainerImplementation`.
    """

    def __init__(
        self,
        make_trainer: MakeTrainer,
        base: str,
        *,
        prompt: MakePrompt = chat_prompt,
        **options: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(make_trainer, base, prompt=prompt, **{"add_special_tokens": False, "name": "trl", **options})
