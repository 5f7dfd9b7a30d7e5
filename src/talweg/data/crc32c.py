"""CRC-32C (Castagnoli), the checksum in TFRecord files and in TensorBoard's event files.

A checksum is linear over XOR: what a byte contributes depends only on its value and on how many bytes follow
it. So one table with a row for each position in a block turns a block into a single gather and XOR, which
NumPy does at hundreds of megabytes a second where a loop over bytes does ten.
Source: G. Castagnoli et al., "Optimization of cyclic redundancy-check codes", 1993; RFC 3720, appendix B.4.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

_POLYNOMIAL = 0x82F63B78  # the Castagnoli polynomial with its bits reversed
_BLOCK = 256
_MASK_DELTA = 0xA282EAD8


@cache
def _contributions() -> NDArray[np.uint32]:
    """(256 positions, 256 byte values): what a byte leaves in the register at the end of a block."""
    register = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        register = np.where(register & 1, (register >> 1) ^ np.uint32(_POLYNOMIAL), register >> 1)
    rows = [register]  # the last byte of the block; each row before it is followed by one more zero byte
    for _ in range(_BLOCK - 1):
        rows.append((rows[-1] >> 8) ^ register[rows[-1] & 0xFF])
    return np.stack(rows[::-1])


def crc32c(data: bytes | bytearray | memoryview) -> int:
    """CRC-32C of some bytes.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    table = _contributions()
    register = 0xFFFFFFFF
    if len(data) < 64:  # for a few bytes the plain loop is faster than NumPy's calls
        last = _last_row()
        for byte in data:
            register = (register >> 8) ^ last[(register ^ byte) & 0xFF]
        return register ^ 0xFFFFFFFF

    # Leading zeros do not move a register that is zero. So start it at zero, put the usual start of all ones
    # into the first four bytes instead, and fill up the first block in front.
    size = -(-len(data) // _BLOCK) * _BLOCK
    padded = np.zeros(size, np.uint8)
    padded[size - len(data) :] = np.frombuffer(data, np.uint8)
    padded[size - len(data) : size - len(data) + 4] ^= 0xFF
    blocks = padded.reshape(-1, _BLOCK)

    register = 0
    first, second, third, fourth = _first_rows()
    positions = np.arange(_BLOCK) * 256
    for start in range(0, len(blocks), 256):  # 64 KiB at a time: the gather's indices take eight bytes each
        gathered = table.ravel().take(blocks[start : start + 256] + positions)
        for block in np.bitwise_xor.reduce(gathered, axis=1).tolist():
            # What the register held is carried past the block as if it were XORed into its first four bytes.
            register = (
                first[register & 0xFF]
                ^ second[register >> 8 & 0xFF]
                ^ third[register >> 16 & 0xFF]
                ^ fourth[register >> 24]
                ^ block
            )
    return register ^ 0xFFFFFFFF


@cache
def _last_row() -> list[int]:
    return list(map(int, _contributions()[-1]))


@cache
def _first_rows() -> list[list[int]]:
    return [list(map(int, row)) for row in _contributions()[:4]]


def masked_crc32c(data: bytes | bytearray | memoryview) -> int:
    """CRC-32C, rotated and shifted as TensorFlow stores it.

    A checksum of bytes that contain their own checksum is always the same; the mask prevents that.

    The first twelve bytes of every TensorBoard file are the number 24 and this:

    >>> masked_crc32c((24).to_bytes(8, "little")).to_bytes(4, "little").hex()
    'a37f4b22'
    """
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF
