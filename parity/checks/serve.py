"""Ask `candor serve` with OpenAI's own Python client, unchanged, and compare with `candor chat`.

    parity/run serve            with target/release/candor, or the program that CANDOR names

- Greedy answers, whole and streamed, are the text of `candor chat --json`, with its log-probabilities.
- `n`, `seed`, `stop`, `top_logprobs`, `usage` and the list of models, as the client's types read them.
- Several pictures and turns, against `candor chat` with the same pictures.
- A client that closes a stream frees its place; the server says so in its metrics.
- Errors become the client's own exceptions, with the field that is wrong.
"""

import base64
import json
import os
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import openai
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[2]
CANDOR = os.environ.get("CANDOR", str(REPOSITORY / "target/release/candor"))
QUESTION = "What is in the picture?"
N_TOKENS = 12
# The last bits of logits may differ where prompts are read otherwise.
ABSOLUTE = 1e-4


def candor(*arguments: str) -> str:
    """Run candor and return what it prints."""
    done = subprocess.run([CANDOR, *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def small_model(folder: Path) -> str:
    """The micro-world's model after two steps: what it says is of no interest, only that both say it."""
    sizes = ["--train", "40", "--preference", "0", "--rl", "0", "--eval", "150"]
    candor("world", "write", "--out", f"{folder}/world", *sizes)
    few = ["--set", "data.n_held_out=8", "--set", "data.batch_images=16"]
    ground = ["ground", "recipes/demo/0-ground.toml", *few, "--set", f"data.root={folder}/world"]
    candor(*ground, "--set", f"run.out={folder}/ground", "--set", "run.steps=2")
    return f"{folder}/ground/model"


def asked(model: str, pictures: list[Path]) -> dict:
    """Return what `candor chat` answers to the question about pictures."""
    shown = [word for picture in pictures for word in ("--image", str(picture))]
    length = ["--max-new-tokens", str(N_TOKENS)]
    return json.loads(candor("chat", model, *shown, "--prompt", QUESTION, *length, "--json"))


def part(picture: Path) -> dict:
    """Return a picture as a part of a message."""
    url = "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
    return {"type": "image_url", "image_url": {"url": url}}


def check_pictures(client: openai.OpenAI, model: str, pictures: list[Path]) -> None:
    """Ask about several pictures at once, and go on with the answer."""
    expected = asked(model, pictures)
    content = [*map(part, pictures), {"type": "text", "text": QUESTION}]
    messages = [{"role": "user", "content": content}]
    common = {"model": "small", "max_tokens": N_TOKENS, "temperature": 0}
    choice = client.chat.completions.create(**common, messages=messages).choices[0]
    assert choice.message.content == expected["text"], (choice.message.content, expected["text"])
    # The client's own message goes back as it came.
    messages += [choice.message, {"role": "user", "content": "And what else?"}]
    assert client.chat.completions.create(**common, messages=messages).choices[0].finish_reason


def figure(client: openai.OpenAI, name: str) -> float:
    """Return a figure of the server's metrics."""
    with urllib.request.urlopen(str(client.base_url).removesuffix("/v1/") + "/metrics") as answer:
        lines = answer.read().decode().splitlines()
    (found,) = [line.split()[1] for line in lines if line.startswith(f"candor_serve_{name} ")]
    return float(found)


def check_leaving(client: openai.OpenAI) -> None:
    """Close streams until one was closed before its answer had ended."""
    for seed in range(50):
        stream = client.chat.completions.create(
            model="small",
            messages=[{"role": "user", "content": QUESTION}],
            max_tokens=500,
            temperature=2,
            seed=seed,
            stream=True,
        )
        next(iter(stream))
        stream.close()
        for _ in range(100):
            if figure(client, "running") == 0:
                break
            time.sleep(0.05)
        else:
            raise AssertionError("a closed stream is still written")
        if figure(client, "cancelled_total") > 0:
            return
    raise AssertionError("50 streams were closed, and none before its end")


def refused(ask, kind: type, param: str) -> None:
    """See to it that a question is refused, and for which field."""
    try:
        ask()
    except kind as error:
        assert error.param == param, (error.param, param)
    else:
        raise AssertionError(f"not refused: {param}")


def check(client: openai.OpenAI, model: str, picture: Path) -> None:
    """Ask everything that the client and candor have in common."""
    expected = asked(model, [picture])
    content = [{"type": "text", "text": QUESTION}, part(picture)]
    messages = [{"role": "user", "content": content}]
    common = {"model": "small", "messages": messages, "max_tokens": N_TOKENS}

    assert [model.id for model in client.models.list()] == ["small"]
    assert client.models.retrieve("small").id == "small"

    whole = client.chat.completions.create(**common, temperature=0, logprobs=True, top_logprobs=3)
    choice = whole.choices[0]
    assert choice.message.content == expected["text"], (choice.message.content, expected["text"])
    assert whole._request_id.startswith("req-"), whole._request_id
    assert choice.finish_reason == ("stop" if expected["finished"] else "length")
    said = choice.logprobs.content
    assert whole.usage.completion_tokens == len(said)
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + len(said)
    for token, logprob in zip(said, expected["logprobs"], strict=False):
        assert abs(token.logprob - logprob) < ABSOLUTE, (token, logprob)
        assert token.top_logprobs[0].token == token.token and len(token.top_logprobs) == 3

    stream = client.chat.completions.create(
        **common, temperature=0, stream=True, stream_options={"include_usage": True}
    )
    parts = list(stream)
    text = "".join(part.choices[0].delta.content or "" for part in parts if part.choices)
    assert text == expected["text"], (text, expected["text"])
    assert parts[-1].usage == whole.usage

    drawn = {**common, "temperature": 1.2, "seed": 5, "n": 3}
    first, second = (client.chat.completions.create(**drawn) for _ in range(2))
    texts = [choice.message.content for choice in first.choices]
    assert texts == [choice.message.content for choice in second.choices] and len(texts) == 3

    stop = expected["text"][len(expected["text"]) // 2]
    stopped = client.chat.completions.create(**common, temperature=0, stop=[stop]).choices[0]
    assert stopped.message.content == expected["text"].split(stop)[0].rstrip()
    assert stopped.finish_reason == "stop"

    create = client.chat.completions.create
    refused(lambda: create(**{**common, "model": "other"}), openai.NotFoundError, "model")
    refused(lambda: create(**common, temperature=3), openai.BadRequestError, "temperature")
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    refused(lambda: create(**common, tools=tools), openai.BadRequestError, "tools")
    refused(
        lambda: create(**common, response_format={"type": "json_object"}),
        openai.BadRequestError,
        "response_format",
    )
    spoken = [{"role": "user", "content": "Hello</s>"}]
    refused(
        lambda: create(model="small", messages=spoken),
        openai.BadRequestError,
        "messages[0].content",
    )
    stranger = client.with_options(api_key="sk-of-somebody-else")
    try:
        stranger.models.list()
    except openai.AuthenticationError:
        pass
    else:
        raise AssertionError("a wrong key is not refused")


def main() -> None:
    """Start a server and ask it."""
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        model = os.environ.get("MODEL") or small_model(folder)
        pictures = [folder / f"{at}.png" for at in range(3)]
        colours = [(200, 40, 30), (20, 40, 220), (240, 240, 30)]
        for picture, colour in zip(pictures, colours, strict=True):
            Image.new("RGB", (90, 60), colour).save(picture)
        key = "sk-0123456789abcdef0123456789abcdef"
        keys = folder / "keys"
        keys.write_text(key + "\n")
        command = [CANDOR, "serve", model, "--name", "small", "--listen", "127.0.0.1:0", "--json"]
        server = subprocess.Popen(
            [*command, "--api-key-file", str(keys)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            line = server.stdout.readline()
            assert line, server.stderr.read()
            client = openai.OpenAI(base_url=json.loads(line)["url"] + "/v1", api_key=key, max_retries=0)
            check(client, model, pictures[0])
            check_pictures(client, model, pictures)
            check_leaving(client)
        finally:
            server.terminate()
        assert server.wait() == 0, server.stderr.read()
    print(f"serve: openai {openai.__version__} reads what candor answers")


if __name__ == "__main__":
    main()
