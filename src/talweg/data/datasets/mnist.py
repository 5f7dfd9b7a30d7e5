"""MNIST: 70,000 handwritten digits of 28 x 28 pixels, the measure of every first network."""

from __future__ import annotations

from talweg.data.datasets.bundled import Part
from talweg.data.datasets.fetch import RemoteFile, RemoteSet, load_remote

# The sums were taken of files whose MD5 sums, decompressed, are the published ones.
SOURCE = RemoteSet(
    title="MNIST",
    folders=("mnist",),
    addresses=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://azureopendatastorage.blob.core.windows.net/mnist/",
    ),
    files=(
        RemoteFile(
            "train-images-idx3-ubyte",
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            47_040_016,
        ),
        RemoteFile(
            "train-labels-idx1-ubyte",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            60_008,
        ),
        RemoteFile(
            "t10k-images-idx3-ubyte",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            7_840_016,
        ),
        RemoteFile(
            "t10k-labels-idx1-ubyte",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            10_008,
        ),
    ),
)


def load_data() -> tuple[Part, Part]:
    """``(x_train, y_train), (x_test, y_test)``, as `keras.datasets.mnist`.

    x: uint8 (60000, 28, 28) and (10000, 28, 28), 0 to 255.  y: uint8 (60000,) and (10000,), 0 to 9.

    Looked for in the folder `mnist` of $TALWEG_DATA, then in the user's cache, then downloaded (11 MB)
    and kept there. Raises `DataError` if it is nowhere to be had, `CorruptFileError` if it is damaged.
    """
    return load_remote(SOURCE)
