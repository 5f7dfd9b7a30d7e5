"""Fashion-MNIST: 70,000 pictures of clothing in the form of MNIST, and harder."""

from __future__ import annotations

from talweg.data.datasets.bundled import Part
from talweg.data.datasets.fetch import RemoteFile, RemoteSet, load_remote

# The sums were taken of files whose MD5 sums, decompressed, are the published ones.
SOURCE = RemoteSet(
    title="Fashion-MNIST",
    folders=("fashion-mnist", "fashion_mnist"),
    addresses=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    ),
    files=(
        RemoteFile(
            "train-images-idx3-ubyte",
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            47_040_016,
        ),
        RemoteFile(
            "train-labels-idx1-ubyte",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            60_008,
        ),
        RemoteFile(
            "t10k-images-idx3-ubyte",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            7_840_016,
        ),
        RemoteFile(
            "t10k-labels-idx1-ubyte",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            10_008,
        ),
    ),
)


def load_data() -> tuple[Part, Part]:
    """``(x_train, y_train), (x_test, y_test)``, as `keras.datasets.fashion_mnist`.

    x: uint8 (60000, 28, 28) and (10000, 28, 28), 0 to 255.  y: uint8 (60000,) and (10000,), 0 to 9, named in
    `talweg.data.DATASETS["fashion_mnist"].class_names`.

    Looked for in the folder `fashion-mnist` of $TALWEG_DATA, then in the user's cache, then downloaded
    (30 MB) and kept there. Raises `DataError` if it is nowhere to be had, `CorruptFileError` if it is damaged.
    """
    return load_remote(SOURCE)
