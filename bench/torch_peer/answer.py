"""What transformers says of an answer that candor gave: the log-probability of each of its tokens, in f32.

Usage: answer.py CHECKPOINT IMAGE QUESTION DEVICE < what `candor chat --json` wrote

The checkpoint is one of LLaVA-1.5's chats, whose turns this writes itself.
"""

import json
import os
import sys

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_PROGRESS_BARS="1", TRANSFORMERS_VERBOSITY="error")

import torch
from PIL import Image
from transformers import AutoProcessor, LlavaForConditionalGeneration


@torch.no_grad()
def main() -> None:
    checkpoint, image, question, device = sys.argv[1:]
    said = json.load(sys.stdin)["ids"]
    # f32 is f32: convolutions, the tower's first layer among them, are in TF32 on a GPU if nobody says otherwise.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    processor = AutoProcessor.from_pretrained(checkpoint)
    model = LlavaForConditionalGeneration.from_pretrained(checkpoint, dtype=torch.float32, attn_implementation="sdpa")
    model = model.to(device).eval()
    picture = Image.open(image).convert("RGB")
    given = processor(images=picture, text=f"USER: <image>\n{question} ASSISTANT:", return_tensors="pt")
    query, bos = given["input_ids"][0].tolist(), processor.tokenizer.bos_token_id
    if query[0] != bos:
        query = [bos, *query]
    ids = torch.tensor([query + said], device=device)
    logits = model(input_ids=ids, pixel_values=given["pixel_values"].to(device), attention_mask=torch.ones_like(ids)).logits
    distribution = logits[:, len(query) - 1 : -1].float().log_softmax(-1)
    print(json.dumps(distribution.gather(-1, ids[:, len(query) :].unsqueeze(-1)).flatten().tolist()))


if __name__ == "__main__":
    main()
