"""Questions to a server that speaks OpenAI's protocol, over connections of their own, and how long answers take."""

import asyncio
import base64
import json
import time

WORDS = "What is in the picture?"


class Failed(Exception):
    """A server that answers otherwise than it should."""


def body(model: str, images: list, **more) -> bytes:
    """A question about images, with whatever else of the protocol."""
    urls = ["data:image/png;base64," + base64.b64encode(image).decode() for image in images]
    content = [{"type": "image_url", "image_url": {"url": url}} for url in urls] + [{"type": "text", "text": WORDS}]
    return json.dumps({"model": model, "messages": [{"role": "user", "content": content}], **more}).encode()


async def opened(port: int, content: bytes, path: str = "/v1/chat/completions") -> tuple:
    """A connection on which a question was asked, and the status of its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    writer.write(head.encode() + content)
    status = await reader.readline()
    if not status.startswith(b"HTTP/1."):
        raise Failed(f"the server answered {status!r}")
    return reader, writer, int(status.split()[1])


async def whole(port: int, content: bytes, path: str = "/v1/chat/completions") -> tuple[int, dict]:
    """Status and answer of a question that is no stream."""
    reader, writer, status = await opened(port, content, path)
    said = await reader.read()
    writer.close()
    return status, json.loads(said.partition(b"\r\n\r\n")[2])


async def streamed(port: int, content: bytes) -> tuple[float, float, int]:
    """Seconds to the first text and to the end of a stream, and its tokens."""
    started = time.perf_counter()
    reader, writer, status = await opened(port, content)
    first, n_tokens, ended = None, 0, False
    try:
        if status != 200:
            raise Failed(f"the server answered {status}: {(await reader.read())[-500:]!r}")
        async for line in reader:
            if not line.startswith(b"data: "):
                continue
            if line.strip() == b"data: [DONE]":
                ended = True
                continue
            part = json.loads(line[len("data: ") :])
            if part.get("usage"):
                n_tokens = part["usage"]["completion_tokens"]
            elif first is None and any(choice["delta"].get("content") for choice in part["choices"]):
                first = time.perf_counter() - started
    finally:
        writer.close()
    if not ended:
        raise Failed("a stream ended without [DONE]")
    last = time.perf_counter() - started
    return (last if first is None else first), last, n_tokens


async def left(port: int, content: bytes) -> None:
    """Asks for a stream and leaves before it has ended."""
    reader, writer, _ = await opened(port, content)
    for _ in range(8):
        await reader.readline()
    writer.close()
