"""Whatever an endpoint does, there is one line and exit code 2, and the key stands nowhere."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import witnessed
from completion_server import CompletionServer, listening, serving
from served_faults import served, tokenizer_of

from sft_ref.cli.main import main
from sft_ref.http import client
from sft_ref.http.client import EndpointError, find_key, root_of

KEY = "sk-nobody-may-see-this"
MODELS = json.dumps({"data": [{"id": "mine"}]}).encode()


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, in_this_process: None) -> None:
    """In this process, where a test can shorten the patience of the client."""
    monkeypatch.setattr(client, "SECONDS", 0.5)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def said(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """The one line that the command says, with exit code 2."""
    assert main(["verify", *map(str, words)]) == 2
    output = capsys.readouterr()
    assert not output.out
    assert output.err.count("\n") == 1
    assert KEY not in output.err
    return output.err


def replying(status: int, body: bytes, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return reply


def silent(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(1.5)


def dripping(handler: BaseHTTPRequestHandler) -> None:
    """Each byte comes in time, and the whole never does."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(30):
        handler.wfile.write(b" ")
        time.sleep(0.1)


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b"x" * 2**20)


def cut_off(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b"{")


def no_http(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"220 mail.example ESMTP\r\n")


def repeats_the_key(handler: BaseHTTPRequestHandler) -> None:
    body = json.dumps({"error": {"message": f"wrong: {handler.headers['Authorization']}"}}).encode()
    replying(401, body)(handler)


def leads_on_with_the_key(handler: BaseHTTPRequestHandler) -> None:
    replying(302, b"", Location=f"http://elsewhere/?{handler.headers['Authorization'].split()[1]}")(handler)


ODD: dict[str, tuple[Callable[[BaseHTTPRequestHandler], None], str]] = {
    "silence": (silent, "no complete answer within 0 s; is the model loaded?"),
    "a drip": (dripping, "no complete answer within"),
    "no end": (endless, "the answer is larger than 16 MB"),
    "half an answer": (cut_off, "no answer ("),
    "no HTTP": (no_http, "is this an HTTP server?"),
    "HTML": (replying(200, b"<!doctype html><p>Hello"), "answers with HTML instead of JSON"),
    "an HTML error": (replying(503, b"<html>busy</html>"), "answers 503"),
    "no JSON": (replying(200, b"hello"), "cannot be read (it is not JSON"),
    "nothing": (replying(200, b""), "cannot be read (it is not JSON"),
    "no bytes of a text": (replying(200, b"\xff\xfe\x00"), "cannot be read"),
    "deep JSON": (replying(200, b"[" * 100_000), "nested too deeply"),
    "another JSON": (replying(200, b'{"data": [{"id": 7}]}'), "cannot be read (expected `str`"),
    "a bomb": (replying(200, gzip.compress(bytes(64 * 2**20)), Content_Encoding="gzip"), "the answer is larger than"),
    "a redirect": (replying(307, b"", Location="http://127.0.0.1:1/"), "redirects to http://127.0.0.1:1/"),
    "a redirect with the key": (leads_on_with_the_key, "redirects to http://elsewhere/?***"),
    "401": (repeats_the_key, "answers 401 (wrong: Bearer ***): the key was refused; set OPENAI_API_KEY"),
    "an escape": (replying(500, b'{"message": "\\u001b[31mred"}'), r"answers 500 (\x1b[31mred)"),
    "no models": (replying(200, b'{"data": []}'), "has 0 models (none); choose one with --model NAME"),
    "no logprobs": (replying(200, b'{"data": [{"id": "x"}], "choices": [{"text": ""}]}'), "it returns no logprobs"),
    "empty choices": (replying(200, b'{"data": [{"id": "x"}], "choices": []}'), "it returns no logprobs"),
    "a number beyond all": (
        replying(
            200, b'{"data": [{"id": "x"}], "choices": [{"logprobs": {"token_logprobs": [1' + b"0" * 400 + b"]}}]}"
        ),
        "cannot be read (",
    ),
    "logprobs without values": (
        replying(200, b'{"data": [{"id": "x"}], "choices": [{"logprobs": {"tokens": ["a"]}}]}'),
        "it returns no logprobs",
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_no_answer_is_one_line(name: str, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reply, due = ODD[name]
    with listening(reply) as url:
        assert due in said(capsys, url, "--record", trained)


def test_a_refused_connection_is_one_line(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        assert "cannot be reached" in said(capsys, url, "--record", trained)


@pytest.fixture(scope="module")
def two_models(trained: Path, trained_again: Path) -> Iterator[str]:
    with witnessed.no_warnings():
        models: dict[str, Any] = {name: served(path) for name, path in (("mine", trained), ("other", trained_again))}
    with serving(CompletionServer({"base": witnessed.load_toy(), **models}, tokenizer_of(trained), key=KEY)) as url:
        yield url


def test_a_name_chooses_the_model(
    two_models: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "SECONDS", 60.0)
    assert "has 3 models (base, mine, other); choose one with --model NAME" in said(
        capsys, two_models, "--record", trained
    )
    assert "The model `none` does not exist" in said(capsys, two_models, "--record", trained, "--model", "none")
    file = tmp_path / "result.json"
    for name, code, verdict, limit in (("mine", 0, "trained model", 0.0), ("other", 1, "drift", 0.01)):
        words = [two_models, "--record", str(trained), "--model", name, "--json", str(file)]
        with witnessed.no_warnings():
            assert main(["verify", *words]) == code
        shown = capsys.readouterr()
        assert shown.out.startswith(f"{name}: {verdict}\n")
        result = json.loads(file.read_text())
        assert result["verdict"] == verdict
        assert result["figures"]["logprobs, share of their spread"] >= limit
        assert KEY not in shown.out + shown.err + file.read_text()
    assert "rounding explains less" in shown.out


def test_options_of_the_other_target_are_refused(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "give --record FOLDER" in said(capsys, "http://127.0.0.1:1")
    assert "--base: is for a folder" in said(capsys, "http://127.0.0.1:1", "--record", trained, "--base", "toy")
    assert "--key-env: is for an endpoint" in said(capsys, trained, "--key-env", "X")


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1"),
        ("http://localhost:8000/v1/", "http://localhost:8000/v1"),
        ("https://host/proxy/v3/completions", "https://host/proxy/v3"),
        ("https://[::1]:8000/v1/chat/completions", "https://[::1]:8000/v1"),
    ],
)
def test_addresses_are_completed(url: str, root: str) -> None:
    assert root_of(url) == root


@pytest.mark.parametrize(
    "url",
    [f"http://me:{KEY}@host", f"http://host?key={KEY}", f"http://host#{KEY}", "http://", "ftp://host", "http://h:x"],
)
def test_an_address_that_cannot_be_used_is_one_line(
    url: str, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "URL" in said(capsys, url, "--record", trained)


def test_keys_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE", f" {KEY}\n")
    monkeypatch.setenv("BROKEN", "one two\nthree")
    assert find_key("http://localhost:1/v1", None) == KEY
    assert find_key("https://host/v1", None) == KEY
    assert find_key("http://host/v1", None) is None  # anybody on the way could read it
    assert find_key("http://host/v1", "MINE") == KEY
    with pytest.raises(EndpointError, match="NONE_SUCH: this environment variable is not set"):
        find_key("https://host/v1", "NONE_SUCH")
    with pytest.raises(EndpointError, match="BROKEN holds no key") as error:
        find_key("https://host/v1", "BROKEN")
    assert "three" not in str(error.value)
    monkeypatch.delenv("OPENAI_API_KEY")
    assert find_key("https://host/v1", None) is None
