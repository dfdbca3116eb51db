"""Write crates/data/tests/golden/webp/: WebP pictures, and beside each its pixels by Pillow, as PNG.

    python -m venv venv && venv/bin/pip install numpy==2.4.6 pillow==13.0.0
    venv/bin/python parity/webp_pictures.py

The pixels are those of `ImageOps.exif_transpose` and `convert("RGB")`, as transformers' `load_image` has
them.
"""

import pathlib

import numpy as np
from PIL import Image, ImageOps

OUT = pathlib.Path(__file__).parents[1] / "crates/data/tests/golden/webp"


def scene(width, height):
    """Slopes, edges and grain."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    slopes = [255 * x / width, 127.5 * (1 + np.sin(x / 3.7 + y / 11.3)), 255 * ((x // 9 + y // 7) % 2)]
    grain = np.random.default_rng(7).random((height, width, 3))
    return np.clip(np.stack(slopes, axis=-1) * 0.9 + grain * 25, 0, 255).astype(np.uint8)


def with_alpha(pixels):
    """Clear at the top, solid at the bottom."""
    alpha = np.linspace(0, 255, pixels.shape[0]).astype(np.uint8)
    alpha = np.broadcast_to(alpha[:, None, None], (*pixels.shape[:2], 1))
    return np.concatenate([pixels, alpha], axis=-1)


def main():
    """Write the pictures and what Pillow makes of them."""
    OUT.mkdir(parents=True, exist_ok=True)
    pixels = scene(61, 43)
    plain, clear = Image.fromarray(pixels), Image.fromarray(with_alpha(pixels))
    exif = Image.Exif()
    exif[0x0112] = 6
    second = Image.fromarray(255 - pixels)
    for name, picture, options in [
        ("lossy", plain, {"quality": 80}),
        ("coarse", plain, {"quality": 5}),
        ("lossless", plain, {"lossless": True}),
        ("lossy_alpha", clear, {"quality": 80}),
        ("lossless_alpha", clear, {"lossless": True, "exact": True}),
        ("turned", plain, {"quality": 80, "exif": exif}),
        ("animated", plain, {"quality": 80, "save_all": True, "append_images": [second], "duration": 100}),
        ("grey", plain.convert("L"), {"quality": 80}),
        ("one_pixel", plain.crop((0, 0, 1, 1)), {"quality": 80}),
    ]:
        path = OUT / f"{name}.webp"
        picture.save(path, **options)
        ImageOps.exif_transpose(Image.open(path)).convert("RGB").save(OUT / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
