"""Starts the candor binary of this package on the libtorch of the installed torch, with or without CUDA."""

import importlib.util
import os
import re
import sys
from pathlib import Path

TORCH = "2.11"


def main():
    """Becomes the binary: signals, exit codes and the terminal are its own."""
    binary = Path(__file__).resolve().parent / "bin" / "candor"
    libraries = torch_libraries()
    others = os.environ.get("LD_LIBRARY_PATH")
    environment = {**os.environ, "LD_LIBRARY_PATH": f"{libraries}:{others}" if others else str(libraries)}
    os.execve(binary, [sys.argv[0], *sys.argv[1:]], environment)


def torch_libraries():
    """The folder of libtorch. The package is found and read, not imported: that would take seconds."""
    found = importlib.util.find_spec("torch")
    if found is None or not found.origin:
        sys.exit(f"candor: {sys.executable} has no torch; install it: pip install 'torch=={TORCH}.*'")
    folder = Path(found.origin).parent
    try:
        match = re.search(r"^__version__ = ['\"]([^'\"]+)", (folder / "version.py").read_text(), re.MULTILINE)
    except OSError:
        match = None
    version = match[1] if match else "of unknown version"
    if not version.startswith(f"{TORCH}."):
        sys.exit(
            f"candor: the torch in {folder} is {version}, and this candor is built for {TORCH}; "
            f"install it: pip install 'torch=={TORCH}.*'"
        )
    return folder / "lib"


if __name__ == "__main__":
    main()
