"""A small OpenAI-style server of a transformers model, on loopback in a thread; and HTTP servers for misbehaviour."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch


@dataclass
class CompletionServer:
    """The served models, and the requests that the server accepts.

    Attributes:
        models: name -> transformers model.
        tokenizer: tokenizer of the server.
        takes_ids: whether a prompt may be token ids.
        echoes: whether the server returns the logprobs of a prompt.
        most: largest number of logprobs per position that a request may ask for.
        tells_ids: whether the server names tokens by their ids on request.
        chat_form: whether completions have logprobs in the format of chats, like those of llama.cpp.
        counts: whether the server reports the number of tokens of a prompt.
        rewrite: token ids of a prompt -> token ids that the model gets.
        template: chat template; None for that of the tokenizer.
        key: required API key; None requires none.
        most_prompts: largest number of prompts per request.
    """

    models: dict[str, Any]
    tokenizer: Any
    takes_ids: bool = True
    echoes: bool = True
    most: int = 20
    tells_ids: bool = True
    chat_form: bool = False
    counts: bool = True
    rewrite: Callable[[list[int]], list[int]] = field(default=lambda ids: ids)
    template: str | None = None
    key: str | None = None
    most_prompts: int = 64

    def answer(self, path: str, content: dict[str, Any], authorization: str | None) -> tuple[int, Any]:
        if self.key is not None and authorization != f"Bearer {self.key}":
            return 401, {"error": {"message": f"wrong key: {authorization}"}}
        if path == "/v1/models":
            return 200, {"data": [{"id": name} for name in self.models]}
        if content["model"] not in self.models:
            return 404, {"error": {"message": f"The model `{content['model']}` does not exist."}}
        return self._score(path, content) if "logprobs" in content else self._continue(content)

    def _score(self, path: str, content: dict[str, Any]) -> tuple[int, Any]:
        is_chat = path.endswith("/chat/completions")
        if is_chat:
            text = self.tokenizer.apply_chat_template(
                content["messages"], chat_template=self.template, tokenize=False, add_generation_prompt=True
            )
            ids, count = self.tokenizer(text, add_special_tokens=False)["input_ids"], content["top_logprobs"]
        else:
            prompt, count = content["prompt"], content["logprobs"]
            if not isinstance(prompt, str) and not self.takes_ids:
                return 400, {"error": {"message": "prompt must be a string"}}
            ids = self.rewrite(self.tokenizer(prompt)["input_ids"] if isinstance(prompt, str) else prompt)
        if count > self.most:
            return 400, {"error": {"message": f"logprobs must be at most {self.most}"}}
        with torch.no_grad():
            logits = self.models[content["model"]](input_ids=torch.tensor([ids])).logits[0].float().log_softmax(-1)
        name = self._by_id if self.tells_ids and content.get("return_tokens_as_token_ids") else self._by_text
        echo = bool(content.get("echo")) and self.echoes
        usage = {"prompt_tokens": len(ids)} if self.counts else None
        best = int(logits[-1].argmax())
        if is_chat or self.chat_form:
            top = [{"token": name(i), "logprob": value} for i, value in _top(logits[-1], count)]
            if self.tells_ids:
                top = [{**each, "id": i} for each, (i, _) in zip(top, _top(logits[-1], count), strict=True)]
            logprobs: Any = {"content": [{**top[0], "top_logprobs": top}]}
        else:
            rows = [(None, ids[0]), *zip(logits[:-1], ids[1:], strict=True)] if echo else []
            logprobs = _legacy([*rows, (logits[-1], best)], count, name)
        return 200, {"choices": [{"text": "", "logprobs": logprobs}], "usage": usage}

    def _continue(self, content: dict[str, Any]) -> tuple[int, Any]:
        prompts = content["prompt"] if isinstance(content["prompt"], list) else [content["prompt"]]
        if len(prompts) > self.most_prompts:
            return 400, {"error": {"message": "prompt must be a string"}}
        choices = []
        for index, prompt in enumerate(prompts):
            ids = torch.tensor([self.tokenizer(prompt)["input_ids"]])
            new = self.models[content["model"]].generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=content["max_tokens"]
            )[0, ids.shape[1] :]
            choices.append({"index": index, "text": self.tokenizer.decode(new, skip_special_tokens=True)})
        return 200, {"choices": choices[::-1]}  # a client must sort by the index

    def _by_id(self, number: int) -> str:
        return f"token_id:{number}"

    def _by_text(self, number: int) -> str:
        return str(self.tokenizer.decode([number]))


def _top(logprobs: torch.Tensor, count: int) -> list[tuple[int, float]]:
    found = logprobs.topk(count)
    return list(zip(found.indices.tolist(), found.values.tolist(), strict=True))


def _legacy(rows: Sequence[tuple[Any, int]], count: int, name: Callable[[int], str]) -> dict[str, Any]:
    return {
        "tokens": [name(token) for _, token in rows],
        "token_logprobs": [None if row is None else float(row[token]) for row, token in rows],
        "top_logprobs": [
            None if row is None else {name(i): value for i, value in [(token, float(row[token])), *_top(row, count)]}
            for row, token in rows
        ],
    }


@contextlib.contextmanager
def serving(server: CompletionServer) -> Iterator[str]:
    """Serves a model within its context; yields the URL."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        size = int(handler.headers.get("Content-Length") or 0)
        content = json.loads(handler.rfile.read(size)) if size else {}
        status, found = server.answer(handler.path, content, handler.headers.get("Authorization"))
        body = json.dumps(found).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    with listening(reply) as url:
        yield url


@contextlib.contextmanager
def listening(reply: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """Runs an HTTP server within its context that answers every request by `reply`; yields the URL."""

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            with contextlib.suppress(ConnectionError):
                reply(self)

        do_GET = do_POST = handle_one  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
