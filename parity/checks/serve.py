"""Ask `candor serve` with OpenAI's own Python client, unchanged, and compare with `candor chat`.

    parity/run serve            with target/release/candor, or the program that CANDOR names

- Greedy answers, whole and streamed, are the text of `candor chat --json`, with its log-probabilities.
- `n`, `seed`, `stop`, `top_logprobs`, `usage` and the list of models, as the client's types read them.
- Errors become the client's own exceptions, with the field that is wrong.
"""

import base64
import io
import json
import os
import subprocess
import tempfile
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
    sizes = ["--train", "40", "--preference", "0", "--rl", "0", "--eval", "1"]
    candor("world", "write", "--out", f"{folder}/world", *sizes)
    ground = ["ground", "recipes/demo/0-ground.toml", "--set", f"data.root={folder}/world"]
    candor(*ground, "--set", f"run.out={folder}/ground", "--set", "run.steps=2")
    return f"{folder}/ground/model"


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
    expected = json.loads(
        candor(
            "chat",
            model,
            "--image",
            str(picture),
            "--prompt",
            QUESTION,
            "--max-new-tokens",
            str(N_TOKENS),
            "--json",
        )
    )
    url = "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
    content = [{"type": "text", "text": QUESTION}, {"type": "image_url", "image_url": {"url": url}}]
    messages = [{"role": "user", "content": content}]
    common = {"model": "small", "messages": messages, "max_tokens": N_TOKENS}

    assert [model.id for model in client.models.list()] == ["small"]
    assert client.models.retrieve("small").id == "small"

    whole = client.chat.completions.create(**common, temperature=0, logprobs=True, top_logprobs=3)
    choice = whole.choices[0]
    assert choice.message.content == expected["text"], (choice.message.content, expected["text"])
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
        picture = folder / "picture.png"
        image = io.BytesIO()
        Image.new("RGB", (90, 60), (200, 40, 30)).save(image, "PNG")
        picture.write_bytes(image.getvalue())
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
            check(client, model, picture)
        finally:
            server.terminate()
        assert server.wait() == 0, server.stderr.read()
    print(f"serve: openai {openai.__version__} reads what candor answers")


if __name__ == "__main__":
    main()
