"""The ways in which the writer writes C, by name. The C itself says which were taken, so a unit can count them.

A way that no test has taken is a way in which wrong numbers can hide: what looks for them asks `used` for all of these.
"""

from __future__ import annotations

import re
from collections import Counter

from talweg.engines.native.comments import comment

NAMES: dict[str, str] = {
    # contractions
    "tiles": "a nest of loops around tiles of rows times vectors",
    "tiles of no rows": "a nest whose result is one row",
    "several panels": "more vectors in a row than a tile takes",
    "half a vector": "a row that ends with half a vector",
    "whole axis": "tiles hold all of a short last axis",
    "tiles at known places": "the length of the axis that is tiled is in the source",
    "tiles up to an end": "that length is known when it runs: rows of a batch, or of a thread's part",
    "tiles that begin earlier": "the last tile does rows once more rather than fewer",
    "clips in a tile": "which of a tile's rows meet an element is in the source",
    "clips of a loop": "the bounds of a loop are found from the place of a row",
    "border left out": "a border of zeros that is not stored",
    "strips": "few and long rows, strip by strip",
    "strip left over": "the last strip, which is shorter",
    "pieces": "vectors that hold several places of the result",
    "phases": "an input gradient by several nests, for the strides",
    "slice of an input gradient": "of which the rest is not computed",
    "blocks of a sum": "images are summed block by block, tiles within",
    "parts of a product": "each 8 rows of the batch are summed on their own",
    "vectors from a data set": "v is read from the caller's array, row by row",
    "numbers from a data set": "s is read from the caller's array, row by row",
    "operand rearranged": "a copy has the vectors side by side",
    "product": "both operands lie along what is summed",
    "product from a data set": "the rows of a product are read from the caller's array",
    "product of no batch": "the number of rows is in the source",
    "product with a rest": "the length of the sum is no whole number of vectors",
    "sums of products": "a contraction with no axis for vectors",
    # loops over elements
    "group": "elementwise tensors of one shape, a loop for each axis",
    "flat group": "the same as one loop over all numbers, padding included",
    "single number": "elementwise tensors of one number",
    "exact ends": "a loop that must not run into the padding",
    "sunk group": "a group computed within the one that reads it",
    "in place": "a new value is stored over its state",
    "margins": "a tensor with margins, by loops without tests",
    "tested margins": "an element that may lie in a margin, found by a test",
    "concatenation": "a loop for each of the tensors that are joined",
    "tested concatenation": "which tensor an element is of, found by a test",
    "regrouping in place": "a reshape of numbers that lie one after the other",
    "regrouping by division": "a reshape whose indices are divided",
    "lookup": "rows named by numbers",
    "random pairs": "random numbers two by two",
    "random numbers": "random numbers one by one",
    "pooling": "the largest of a window",
    # reductions
    "sum of rows": "the innermost axis stays: rows are added",
    "sums side by side": "short rows are added to several sums in turn",
    "parts of a sum": "each 8 rows of the batch are summed on their own",
    "parts joined": "the sums of parts are added up",
    "sum in lanes": "the innermost axis is summed, in 16 lanes up to the padding",
    "exact sum in lanes": "the same, without the padding",
    "sum of nothing": "all axes that are summed have length 1",
    "maximum": "any of these with the larger in place of the sum",
    "place of the maximum": "argmax",
    "scattering": "rows added to those that numbers name",
    # windows
    "pooling gradient": "a window's gradient goes to its first largest element",
    "windows of groups": "a grouped convolution by plain loops, the filters of a group innermost",
    "windows of channels": "the same, the groups innermost",
    "windows of inputs": "the same, the inputs of a group innermost",
    # threads and memory
    "rows divided": "threads share rows of the batch",
    "outer divided": "threads share an axis of a result that has no batch, or units",
    "panels divided": "threads share panels of vectors",
    "everyone": "each thread has its own",
    "alone": "one thread does it",
    "blocks of the batch": "a thread does its rows block by block",
    "blocks of weights": "a thread does its part of weights block by block",
    "memory of a thread": "a block of a tensor that only one run of kernels needs",
    "columns": "a matrix is stored by columns",
    # loops over steps
    "loop of divided rows": "threads share rows of the batch, and go through all steps",
    "loop of one thread": "one thread goes through all steps",
    "loop backward": "from the last step to the first",
    "step in place": "an element of a sequence or stack is read or stored where it lies",
    "step copied": "an element of a sequence or stack is copied",
    # what goes in and out
    "rows gathered": "rows of a data set, copied whole",
    "padded rows gathered": "rows of a data set whose innermost axis is padded",
    "rows in place": "a table of where rows of a data set lie",
    "setting": "an input that is not rows",
    "output of rows": "handed out at each step",
    "output at the end": "handed out after the last step",
    "new value moved": "a state's new value is copied to where the state is",
}


def by(name: str) -> str:
    """A comment that says which way was taken.

    >>> by("strips")
    '/* by way of strips */'
    """
    if name not in NAMES:
        raise KeyError(f"no way of writing C is called {name!r}")
    return comment(f"by way of {name}")


def used(source: str) -> Counter[str]:
    """How often each way was taken in a source, 0 included.

    >>> used(by("strips") + by("strips"))["strips"]
    2
    """
    counts = Counter(dict.fromkeys(NAMES, 0))
    counts.update(name for name in re.findall(r"/\* by way of ([a-z0-9 ]+) \*/", source) if name in NAMES)
    return counts
