"""Data on its way to the network: read, checked, encoded, split, scaled, and served in batches.

    readers     files.py (distrust), idx.py, npz.py, csv.py + table.py, images.py, tfrecord.py + example.py
    data sets   datasets/ (real), toys.py, rule.py (made)
    preparing   encoding.py, split.py, scaling.py
    serving     pipeline/ (`Dataset`, as tf.data)

Only NumPy is imported with this package; pandas, scikit-learn, Pillow and pooch are where they are used.
"""

from talweg.data.crc32c import crc32c, masked_crc32c
from talweg.data.csv import TableData, read_csv
from talweg.data.datasets import DATASETS, DatasetInfo, LoadedData, load
from talweg.data.encoding import normalize, to_categorical
from talweg.data.example import make_example, parse_example
from talweg.data.idx import read_idx, write_idx
from talweg.data.images import ImageFolder, read_image, read_image_folder, read_images
from talweg.data.npz import read_npz
from talweg.data.pipeline import AUTOTUNE, INFINITE, UNKNOWN, Dataset, ElementSpec, TFRecordDataset
from talweg.data.rule import from_rule
from talweg.data.scaling import Scaling, scale
from talweg.data.split import train_test_split
from talweg.data.table import Column, TableEncoding
from talweg.data.tfrecord import read_tfrecord, write_tfrecord
from talweg.data.toys import TOYS, and_, circles, gaussians, line, moons, or_, spiral, xor

__all__ = [
    "AUTOTUNE",
    "DATASETS",
    "INFINITE",
    "TOYS",
    "UNKNOWN",
    "Column",
    "Dataset",
    "DatasetInfo",
    "ElementSpec",
    "ImageFolder",
    "LoadedData",
    "Scaling",
    "TFRecordDataset",
    "TableData",
    "TableEncoding",
    "and_",
    "circles",
    "crc32c",
    "from_rule",
    "gaussians",
    "line",
    "load",
    "make_example",
    "masked_crc32c",
    "moons",
    "normalize",
    "or_",
    "parse_example",
    "read_csv",
    "read_idx",
    "read_image",
    "read_image_folder",
    "read_images",
    "read_npz",
    "read_tfrecord",
    "scale",
    "spiral",
    "to_categorical",
    "train_test_split",
    "write_idx",
    "write_tfrecord",
    "xor",
]
