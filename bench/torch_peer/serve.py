"""A plain server of transformers: what asks within a short window is answered together by `generate`, and streamed.

Usage: serve.py FOLDER ROWS. FOLDER is what `candor export` wrote, ROWS how many answers are written together. Says where it
listens in a line of JSON.

What one writes without an engine: a thread for each connection, one queue, rows padded on the left. Where the batch before had one row
nobody waits for others, so that a client that is alone loses no time to it. A batch is written to its end before the next begins; a
client has its tokens as they come, and its end when its own answer ends. Of a question it reads images, text and `max_tokens`; tokens
are drawn as the model has them.
"""

import base64
import io
import json
import os
import queue
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_PROGRESS_BARS="1", TRANSFORMERS_VERBOSITY="error")

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor
from transformers.generation.streamers import BaseStreamer

# How long the first of a batch waits for others.
WINDOW_SECS = 0.01
# What comes in the place of the tokens that are left of an answer that is not written to its end.
FAILED = object()


class Asked:
    """A question, and where its tokens go: each id, then none; FAILED instead where its batch failed."""

    def __init__(self, request: dict):
        self.images, self.parts = [], []
        for part in request["messages"][-1]["content"]:
            if part["type"] == "image_url":
                encoded = part["image_url"]["url"].split(",", 1)[1]
                self.images.append(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB"))
                self.parts.append({"type": "image"})
            else:
                self.parts.append({"type": "text", "text": part["text"]})
        self.n_tokens = request["max_tokens"]
        self.tokens = queue.Queue()
        self.n_said = 0
        self.has_ended = False


class Told(BaseStreamer):
    """Hands the tokens of a batch to those who asked."""

    def __init__(self, batch: list, end: int):
        self.batch, self.eos, self.is_prompt = batch, end, True

    def put(self, value: torch.Tensor) -> None:
        if self.is_prompt:
            self.is_prompt = False
            return
        for asked, token in zip(self.batch, value.tolist()):
            if asked.has_ended:
                continue
            if token == self.eos:
                self.close(asked)
                continue
            asked.tokens.put(token)
            asked.n_said += 1
            if asked.n_said == asked.n_tokens:
                self.close(asked)

    @staticmethod
    def close(asked: Asked, last=None) -> None:
        asked.has_ended = True
        asked.tokens.put(last)

    def end(self, last=None) -> None:
        for asked in self.batch:
            if not asked.has_ended:
                self.close(asked, last)


class Model:
    def __init__(self, folder: str, rows: int):
        self.processor = AutoProcessor.from_pretrained(folder, backend="pil")
        self.processor.tokenizer.padding_side = "left"
        model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
        self.model, self.rows, self.waiting = model.eval(), rows, queue.Queue()
        self.end, self.pad = self.processor.tokenizer.eos_token_id, self.processor.tokenizer.pad_token_id
        self.n_before = 0

    def batch(self) -> list:
        """The next question, and those that wait too; where the batch before was more than one, those that come shortly after it."""
        found = [self.waiting.get()]
        until = time.monotonic() + (WINDOW_SECS if self.n_before > 1 else 0.0)
        while len(found) < self.rows:
            try:
                found.append(self.waiting.get(timeout=max(0.0, until - time.monotonic())))
            except queue.Empty:
                break
        self.n_before = len(found)
        return found

    def run(self) -> None:
        while True:
            batch = self.batch()
            told = Told(batch, self.end)
            try:
                self.answer(batch, told)
            except Exception as error:
                # Those who wait for it must not wait for ever, nor take what they have for an answer.
                print(f"peer: {error!r}", file=sys.stderr)
                told.end(FAILED)

    @torch.inference_mode()
    def answer(self, batch: list, told: Told) -> None:
        texts = [
            self.processor.apply_chat_template([{"role": "user", "content": asked.parts}], tokenize=False, add_generation_prompt=True)
            for asked in batch
        ]
        images = [image for asked in batch for image in asked.images]
        # Some templates write the token that every sequence begins with, others leave it to the tokenizer.
        begin = self.processor.tokenizer.bos_token or ""
        texts = [text if text.startswith(begin) else begin + text for text in texts]
        given = self.processor(text=texts, images=images or None, padding=True, add_special_tokens=False, return_tensors="pt")
        longest = max(asked.n_tokens for asked in batch)
        drawn = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "eos_token_id": self.end, "pad_token_id": self.pad}
        self.model.generate(**given, max_new_tokens=longest, streamer=told, **drawn)


def handler(model: Model) -> type:
    class Handler(BaseHTTPRequestHandler):
        # A token is sent when it is written, and does not wait for the client's word on the one before.
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            asked = Asked(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            model.waiting.put(asked)
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            while (token := asked.tokens.get()) is not None:
                if token is FAILED:
                    # A stream without [DONE] is none.
                    return
                text = model.processor.tokenizer.decode([token], skip_special_tokens=True)
                self.event({"choices": [{"index": 0, "delta": {"content": text}}]})
            self.event({"choices": [], "usage": {"completion_tokens": asked.n_said}})
            self.wfile.write(b"data: [DONE]\n\n")

        def event(self, data: dict) -> None:
            self.wfile.write(f"data: {json.dumps(data)}\n\n".encode())

        def log_message(self, *_) -> None:
            pass

    return Handler


class Server(ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True


def main() -> None:
    model = Model(sys.argv[1], int(sys.argv[2]))
    threading.Thread(target=model.run, daemon=True).start()
    server = Server(("127.0.0.1", 0), handler(model))
    print(json.dumps({"url": f"http://127.0.0.1:{server.server_address[1]}"}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
