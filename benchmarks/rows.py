"""The rows that everyone trains on: MNIST from $TALWEG_DATA where it is there, else made up; and XOR."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np

ROWS = 60_000


def pictures() -> tuple[np.ndarray, np.ndarray, str]:
    """x: float32 (60000, 784) in 0..1; y: int32 (60000,); and what they are."""
    folder = Path(os.environ.get("TALWEG_DATA", "")) / "mnist"
    images, labels = folder / "train-images-idx3-ubyte.gz", folder / "train-labels-idx1-ubyte.gz"
    if os.environ.get("TALWEG_DATA") and images.exists() and labels.exists():
        x = np.frombuffer(gzip.decompress(images.read_bytes()), np.uint8, offset=16).reshape(ROWS, 784)
        y = np.frombuffer(gzip.decompress(labels.read_bytes()), np.uint8, offset=8)
        return (x / np.float32(255)).astype(np.float32), y.astype(np.int32), "MNIST"
    random = np.random.default_rng(0)
    y = random.integers(0, 10, ROWS, dtype=np.int32)
    # one prototype a digit, four fifths of it black, as in MNIST; each row drops some of its prototype's pixels
    prototypes = random.random((10, 784), np.float32) * (random.random((10, 784)) < 0.2)
    x = prototypes[y] * (random.random((ROWS, 784), np.float32) < 0.7)
    return x.astype(np.float32), y, "made-up pictures ($TALWEG_DATA has no MNIST)"


def xor() -> tuple[np.ndarray, np.ndarray, str]:
    """x: float32 (60000, 2) of bits; y: float32 (60000, 1)."""
    bits = np.random.default_rng(0).integers(0, 2, (ROWS, 2))
    return bits.astype(np.float32), (bits[:, :1] ^ bits[:, 1:]).astype(np.float32), "XOR"


def rows_of(data: str) -> tuple[np.ndarray, np.ndarray, str]:
    return pictures() if data == "pictures" else xor()
