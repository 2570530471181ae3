"""Greedy decoding and sampling by hand, so that I know what happens.

(model.generate prints warnings about pad tokens that I could not get rid of.)
"""

import torch


def left_pad(sequences, pad):
    width = max(map(len, sequences))
    ids = [[pad] * (width - len(s)) + s for s in sequences]
    mask = [[0] * (width - len(s)) + [1] * len(s) for s in sequences]
    return torch.tensor(ids), torch.tensor(mask)


def pick(logits, temperature):
    if temperature > 0:
        return torch.multinomial(torch.softmax(logits.float() / temperature, dim=-1), 1).squeeze(1)
    return logits.argmax(dim=-1)


@torch.inference_mode()
def complete(model, tokenizer, prompts, limit=24, temperature=0.0):
    """One completion for each prompt, in order."""
    end = tokenizer.eos_token_id
    ids, mask = left_pad([tokenizer(p)["input_ids"] for p in prompts], end)
    ids, mask = ids.to(model.device), mask.to(model.device)
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    out = model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=True)
    done = torch.zeros(len(prompts), dtype=torch.bool, device=ids.device)
    written = []
    for _ in range(limit):
        token = pick(out.logits[:, -1], temperature)
        token = torch.where(done, torch.full_like(token, end), token)
        written.append(token)
        done |= token == end
        if done.all():
            break
        mask = torch.cat([mask, mask.new_ones(len(prompts), 1)], dim=1)
        out = model(
            input_ids=token[:, None],
            attention_mask=mask,
            position_ids=mask.sum(dim=1, keepdim=True) - 1,
            past_key_values=out.past_key_values,
            use_cache=True,
        )
    return tokenizer.batch_decode(torch.stack(written, dim=1), skip_special_tokens=True)
