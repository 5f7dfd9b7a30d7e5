"""What is known of each data set, in one table, which `talweg datasets` prints."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DatasetInfo:
    """One data set.

    rows: (training, test).  input_shape: of one example.  value_range: (least, greatest) input.
    class_names: None for regression.  feature_names: of the columns; None for images.
    """

    name: str
    task: str
    description: str
    rows: tuple[int, int]
    input_shape: tuple[int, ...]
    value_range: tuple[float, float]
    class_names: tuple[str, ...] | None
    feature_names: tuple[str, ...] | None
    source: str
    licence: str
    download: bool = False


_DIGITS = tuple("0123456789")
_CELL_MEASURES = (
    "radius",
    "texture",
    "perimeter",
    "area",
    "smoothness",
    "compactness",
    "concavity",
    "concave points",
    "symmetry",
    "fractal dimension",
)

_ALL = (
    DatasetInfo(
        "digits",
        "classification",
        "handwritten digits, 8 x 8 pixels of 0 to 16, from 43 people",
        (1437, 360),
        (8, 8),
        (0, 16),
        _DIGITS,
        None,
        "E. Alpaydin & C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (test part); with scikit-learn",
        "CC BY 4.0",
    ),
    DatasetInfo(
        "mnist",
        "classification",
        "handwritten digits, 28 x 28 grey pixels",
        (60000, 10000),
        (28, 28),
        (0, 255),
        _DIGITS,
        None,
        "Y. LeCun, C. Cortes & C. J. C. Burges, The MNIST Database of Handwritten Digits, 1998",
        "CC BY-SA 3.0",
        download=True,
    ),
    DatasetInfo(
        "fashion_mnist",
        "classification",
        "pieces of clothing, 28 x 28 grey pixels",
        (60000, 10000),
        (28, 28),
        (0, 255),
        (
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        None,
        "H. Xiao, K. Rasul & R. Vollgraf, Fashion-MNIST, Zalando Research, 2017, arXiv:1708.07747",
        "MIT",
        download=True,
    ),
    DatasetInfo(
        "iris",
        "classification",
        "species of iris from the size of sepals and petals, in cm",
        (120, 30),
        (4,),
        (0.1, 7.9),
        ("setosa", "versicolor", "virginica"),
        ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"),
        "R. A. Fisher, The use of multiple measurements in taxonomic problems, 1936; with scikit-learn",
        "CC BY 4.0",
    ),
    DatasetInfo(
        "wine",
        "classification",
        "cultivar of Italian wines from 13 chemical measurements",
        (142, 36),
        (13,),
        (0.13, 1680),
        ("class_0", "class_1", "class_2"),
        (
            "alcohol",
            "malic_acid",
            "ash",
            "alcalinity_of_ash",
            "magnesium",
            "total_phenols",
            "flavanoids",
            "nonflavanoid_phenols",
            "proanthocyanins",
            "color_intensity",
            "hue",
            "od280/od315_of_diluted_wines",
            "proline",
        ),
        "S. Aeberhard & M. Forina, Wine, UCI, 1992; with scikit-learn",
        "CC BY 4.0",
    ),
    DatasetInfo(
        "breast_cancer",
        "classification",
        "malignant or benign, from 30 measurements of cell nuclei in a microscope image",
        (455, 114),
        (30,),
        (0, 4254),
        ("malignant", "benign"),
        tuple(f"mean {m}" for m in _CELL_MEASURES)
        + tuple(f"{m} error" for m in _CELL_MEASURES)
        + tuple(f"worst {m}" for m in _CELL_MEASURES),
        "W. Wolberg, O. Mangasarian, N. Street & W. Street, Breast Cancer Wisconsin (Diagnostic), UCI, "
        "1995; with scikit-learn",
        "CC BY 4.0",
    ),
    DatasetInfo(
        "diabetes",
        "regression",
        "progress of diabetes after one year, 25 to 346, from 10 measurements in their own units",
        (353, 89),
        (10,),
        (1, 301),
        None,
        ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"),
        "B. Efron, T. Hastie, I. Johnstone & R. Tibshirani, Least angle regression, 2004; with scikit-learn",
        "not stated; distributed with scikit-learn",
    ),
)

DATASETS: dict[str, DatasetInfo] = {info.name: info for info in _ALL}
