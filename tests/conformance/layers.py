"""The table of layers: each with arguments, the shape of an example, and the shape of what comes out."""

from __future__ import annotations

from typing import Any

import numpy as np

from talweg.graph import Array

Shape = tuple[int, ...]

CASES: list[tuple[str, dict[str, Any], Shape, Shape]] = [
    ("InputLayer", {"shape": (3, 2)}, (3, 2), (3, 2)),
    ("Identity", {}, (3, 2), (3, 2)),
    ("Masking", {}, (3, 2), (3, 2)),
    ("Masking", {"mask_value": 0.5}, (2, 3, 2), (2, 3, 2)),
    ("Rescaling", {"scale": 1 / 255}, (3, 2), (3, 2)),
    ("Rescaling", {"scale": 2.0, "offset": -1.0}, (3,), (3,)),
    ("Normalization", {}, (3,), (3,)),
    ("Normalization", {"mean": [1.0, 2.0, 3.0], "variance": [4.0, 1.0, 0.25]}, (3,), (3,)),
    ("Normalization", {"axis": None, "mean": 1.5, "variance": 4.0}, (3, 2), (3, 2)),
    ("Dense", {"units": 4}, (3,), (4,)),
    ("Dense", {"units": 2, "activation": "tanh", "use_bias": False}, (3,), (2,)),
    ("Dense", {"units": 2, "activation": "softmax", "bias_initializer": "random_normal"}, (4, 3), (4, 2)),
    (
        "Dense",
        {"units": 3, "activation": "sigmoid", "kernel_regularizer": "l2", "activity_regularizer": "l1"},
        (2,),
        (3,),
    ),
    ("Embedding", {"input_dim": 7, "output_dim": 3}, (4,), (4, 3)),
    ("Embedding", {"input_dim": 7, "output_dim": 2, "embeddings_initializer": "normal"}, (2, 3), (2, 3, 2)),
    ("Embedding", {"input_dim": 7, "output_dim": 2, "mask_zero": True}, (4,), (4, 2)),
    # activations
    ("Activation", {"activation": "tanh"}, (4,), (4,)),
    ("Activation", {"activation": "softmax"}, (2, 3), (2, 3)),
    ("ReLU", {}, (4,), (4,)),
    ("ReLU", {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.2}, (4, 3), (4, 3)),
    ("LeakyReLU", {}, (4,), (4,)),
    ("LeakyReLU", {"negative_slope": 0.01}, (2, 2), (2, 2)),
    ("RReLU", {}, (3, 2), (3, 2)),
    ("RReLU", {"lower": 0.2, "upper": 0.9}, (4,), (4,)),
    ("PReLU", {"alpha_initializer": "random_normal"}, (4,), (4,)),
    ("PReLU", {"alpha_initializer": "ones", "shared_axes": [1, 2]}, (2, 3, 2), (2, 3, 2)),
    ("ELU", {}, (4,), (4,)),
    ("ELU", {"alpha": 0.5}, (2, 3), (2, 3)),
    ("Softmax", {}, (2, 3), (2, 3)),
    ("Softmax", {"axis": 1}, (3, 2), (3, 2)),
    ("Softmax", {"axis": (1, 2)}, (3, 2, 2), (3, 2, 2)),
    # the same numbers in other places
    ("Flatten", {}, (2, 3, 2), (12,)),
    ("Flatten", {}, (5,), (5,)),
    ("Reshape", {"target_shape": (3, 4)}, (2, 6), (3, 4)),
    ("Reshape", {"target_shape": (-1, 2)}, (2, 6), (6, 2)),
    ("Permute", {"dims": (2, 1)}, (3, 2), (2, 3)),
    ("Permute", {"dims": (3, 1, 2)}, (2, 3, 4), (4, 2, 3)),
    ("RepeatVector", {"n": 3}, (2,), (3, 2)),
    ("ZeroPadding1D", {}, (3, 2), (5, 2)),
    ("ZeroPadding1D", {"padding": (0, 2)}, (3, 2), (5, 2)),
    ("ZeroPadding2D", {}, (2, 3, 2), (4, 5, 2)),
    ("ZeroPadding2D", {"padding": ((0, 1), (2, 0))}, (2, 3, 1), (3, 5, 1)),
    ("Cropping1D", {}, (4, 2), (2, 2)),
    ("Cropping1D", {"cropping": (2, 0)}, (4, 2), (2, 2)),
    ("Cropping2D", {}, (2, 3, 2), (2, 3, 2)),
    ("Cropping2D", {"cropping": (1, 0)}, (4, 3, 2), (2, 3, 2)),
    ("Cropping2D", {"cropping": ((0, 1), (1, 1))}, (2, 4, 1), (1, 2, 1)),
    ("UpSampling1D", {}, (3, 2), (6, 2)),
    ("UpSampling2D", {}, (2, 3, 2), (4, 6, 2)),
    ("UpSampling2D", {"size": (1, 3)}, (2, 2, 1), (2, 6, 1)),
    ("UpSampling2D", {"size": (2, 3), "interpolation": "bilinear"}, (3, 2, 2), (6, 6, 2)),
    # convolutions
    ("Conv1D", {"filters": 3, "kernel_size": 2}, (5, 2), (4, 3)),
    ("Conv1D", {"filters": 2, "kernel_size": 3, "strides": 2, "padding": "same", "activation": "tanh"}, (6, 1), (3, 2)),
    ("Conv1D", {"filters": 2, "kernel_size": 2, "padding": "causal", "dilation_rate": 2}, (5, 3), (5, 2)),
    ("Conv1D", {"filters": 2, "kernel_size": 3, "padding": "causal", "strides": 2, "groups": 2}, (5, 2), (3, 2)),
    ("Conv2D", {"filters": 2, "kernel_size": 2}, (3, 4, 1), (2, 3, 2)),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "bias_initializer": "random_normal"}, (6, 7, 2), (4, 5, 4)),
    (
        "Conv2D",
        {"filters": 2, "kernel_size": (3, 2), "strides": (2, 1), "padding": "same", "activation": "tanh"},
        (4, 3, 2),
        (2, 3, 2),
    ),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "dilation_rate": (2, 1), "padding": "same"}, (6, 7, 2), (6, 7, 4)),
    (
        "Conv2D",
        {
            "filters": 4,
            "kernel_size": 2,
            "dilation_rate": 2,
            "groups": 2,
            "use_bias": False,
            "kernel_regularizer": "l2",
        },
        (4, 3, 2),
        (2, 1, 4),
    ),
    (
        "Conv2D",
        {"filters": 1, "kernel_size": 1, "activation": "sigmoid", "activity_regularizer": "l2"},
        (2, 2, 2),
        (2, 2, 1),
    ),
    ("Conv1DTranspose", {"filters": 3, "kernel_size": 2}, (4, 2), (5, 3)),
    ("Conv1DTranspose", {"filters": 1, "kernel_size": 3, "strides": 2, "padding": "same"}, (3, 2), (6, 1)),
    ("Conv2DTranspose", {"filters": 3, "kernel_size": 2, "activation": "tanh"}, (2, 3, 2), (3, 4, 3)),
    ("Conv2DTranspose", {"filters": 2, "kernel_size": 3, "strides": 2, "padding": "same"}, (2, 3, 1), (4, 6, 2)),
    ("Conv2DTranspose", {"filters": 2, "kernel_size": (1, 3), "strides": 2, "use_bias": False}, (2, 2, 2), (4, 5, 2)),
    (
        "Conv2DTranspose",
        {"filters": 1, "kernel_size": 3, "strides": 2, "padding": "same", "output_padding": 1},
        (2, 2, 2),
        (4, 4, 1),
    ),
    ("Conv2DTranspose", {"filters": 1, "kernel_size": 2, "dilation_rate": 2}, (2, 2, 2), (4, 4, 1)),
    ("DepthwiseConv1D", {"kernel_size": 2, "depth_multiplier": 2}, (4, 2), (3, 4)),
    ("DepthwiseConv2D", {"kernel_size": 2}, (3, 3, 2), (2, 2, 2)),
    (
        "DepthwiseConv2D",
        {"kernel_size": 3, "strides": 2, "padding": "same", "depth_multiplier": 2, "activation": "tanh"},
        (4, 5, 2),
        (2, 3, 4),
    ),
    ("SeparableConv1D", {"filters": 3, "kernel_size": 2, "padding": "same"}, (4, 2), (4, 3)),
    ("SeparableConv2D", {"filters": 3, "kernel_size": 2, "pointwise_regularizer": "l2"}, (3, 3, 2), (2, 2, 3)),
    (
        "SeparableConv2D",
        {"filters": 2, "kernel_size": 3, "padding": "same", "depth_multiplier": 2, "activation": "sigmoid"},
        (3, 2, 2),
        (3, 2, 2),
    ),
    # pooling
    ("MaxPooling1D", {}, (5, 2), (2, 2)),
    ("MaxPooling1D", {"pool_size": 3, "strides": 1, "padding": "same"}, (4, 2), (4, 2)),
    ("MaxPooling2D", {}, (5, 4, 2), (2, 2, 2)),
    ("MaxPooling2D", {"pool_size": 3, "strides": (2, 1), "padding": "same"}, (4, 3, 1), (2, 3, 1)),
    ("MaxPooling2D", {"pool_size": [2, 1], "strides": 1}, (3, 2, 2), (2, 2, 2)),
    ("AveragePooling1D", {"pool_size": 2}, (5, 2), (2, 2)),
    ("AveragePooling1D", {"pool_size": 3, "strides": 2, "padding": "same"}, (4, 2), (2, 2)),
    ("AveragePooling2D", {"pool_size": 2}, (5, 4, 2), (2, 2, 2)),
    ("AveragePooling2D", {"pool_size": 3, "strides": (2, 1), "padding": "same"}, (4, 3, 2), (2, 3, 2)),
    ("AveragePooling2D", {"pool_size": (2, 1), "strides": 1}, (3, 2, 2), (2, 2, 2)),
    ("GlobalAveragePooling1D", {}, (4, 2), (2,)),
    ("GlobalAveragePooling2D", {"keepdims": True}, (3, 2, 2), (1, 1, 2)),
    ("GlobalMaxPooling1D", {"keepdims": True}, (4, 2), (1, 2)),
    ("GlobalMaxPooling2D", {}, (3, 2, 2), (2,)),
    # normalization
    ("BatchNormalization", {}, (3,), (3,)),
    (
        "BatchNormalization",
        {"momentum": 0.9, "epsilon": 0.01, "beta_initializer": "random_normal"},
        (2, 2, 3),
        (2, 2, 3),
    ),
    ("BatchNormalization", {"center": False, "gamma_initializer": "random_normal"}, (4, 2), (4, 2)),
    ("BatchNormalization", {"axis": -2, "scale": False}, (4, 3), (4, 3)),
    (
        "BatchNormalization",
        {"axis": 1, "scale": False, "moving_mean_initializer": "ones", "moving_variance_initializer": 4.0},
        (2, 3),
        (2, 3),
    ),
    ("LayerNormalization", {}, (4,), (4,)),
    ("LayerNormalization", {"axis": (1, 2), "center": False, "gamma_initializer": "random_normal"}, (2, 3), (2, 3)),
    ("LayerNormalization", {"axis": 1, "scale": False, "epsilon": 0.1}, (3, 2, 2), (3, 2, 2)),
    ("GroupNormalization", {"groups": 2, "gamma_initializer": "random_normal"}, (2, 3, 4), (2, 3, 4)),
    ("GroupNormalization", {"groups": -1, "scale": False}, (3, 2, 2), (3, 2, 2)),
    ("GroupNormalization", {"groups": 1, "axis": 1, "center": False, "epsilon": 0.1}, (3, 2), (3, 2)),
    ("RMSNormalization", {}, (4,), (4,)),
    ("RMSNormalization", {"axis": (1, 2), "epsilon": 0.1}, (2, 3), (2, 3)),
    ("UnitNormalization", {}, (4,), (4,)),
    ("UnitNormalization", {"axis": [1, 2]}, (2, 3), (2, 3)),
    # recurrence
    ("SimpleRNN", {"units": 3}, (4, 2), (3,)),
    ("SimpleRNN", {"units": 2, "return_sequences": True, "activation": "softsign", "use_bias": False}, (3, 2), (3, 2)),
    ("SimpleRNN", {"units": 2, "dropout": 0.3, "recurrent_dropout": 0.4, "bias_regularizer": "l2"}, (3, 2), (2,)),
    ("LSTM", {"units": 3}, (4, 2), (3,)),
    ("LSTM", {"units": 2, "return_sequences": True, "go_backwards": True, "bias_initializer": "ones"}, (4, 2), (4, 2)),
    (
        "LSTM",
        {"units": 2, "unit_forget_bias": False, "recurrent_activation": "hard_sigmoid", "activity_regularizer": "l2"},
        (3, 1),
        (2,),
    ),
    ("GRU", {"units": 3, "bias_initializer": "random_normal"}, (4, 2), (3,)),
    ("GRU", {"units": 2, "reset_after": False, "return_sequences": True, "recurrent_dropout": 0.4}, (3, 2), (3, 2)),
    ("GRU", {"units": 2, "use_bias": False, "kernel_regularizer": "l2", "go_backwards": True}, (3, 2), (2,)),
    ("GRU", {"units": 2, "zero_output_for_mask": True}, (3, 2), (2,)),
    ("Bidirectional", {"layer": {"class": "GRU", "units": 2, "return_sequences": True}}, (3, 2), (3, 4)),
    ("Bidirectional", {"layer": {"class": "LSTM", "units": 2}, "merge_mode": "mul"}, (3, 2), (2,)),
    ("TimeDistributed", {"layer": {"class": "Dense", "units": 3, "activation": "tanh"}}, (4, 2), (4, 3)),
    ("TimeDistributed", {"layer": {"class": "Conv1D", "filters": 2, "kernel_size": 2}}, (2, 4, 1), (2, 3, 2)),
    ("TimeDistributed", {"layer": {"class": "BatchNormalization", "momentum": 0.9}}, (3, 2), (3, 2)),
    # chance and penalties
    ("Dropout", {"rate": 0.4}, (6,), (6,)),
    ("Dropout", {"rate": 0.5, "noise_shape": (None, 1, 3)}, (4, 3), (4, 3)),
    ("Dropout", {"rate": 0.0}, (3,), (3,)),
    ("SpatialDropout1D", {"rate": 0.5}, (3, 4), (3, 4)),
    ("SpatialDropout2D", {"rate": 0.4}, (2, 3, 5), (2, 3, 5)),
    ("GaussianDropout", {"rate": 0.4}, (6,), (6,)),
    ("GaussianDropout", {"rate": 0.0}, (3,), (3,)),
    ("GaussianNoise", {"stddev": 0.5}, (2, 3), (2, 3)),
    ("GaussianNoise", {"stddev": 0.0}, (3,), (3,)),
    ("AlphaDropout", {"rate": 0.4}, (6,), (6,)),
    ("AlphaDropout", {"rate": 0.3, "noise_shape": (None, 1)}, (4,), (4,)),
    ("ActivityRegularization", {"l1": 0.1, "l2": 0.2}, (3,), (3,)),
    # augmentation
    ("RandomTranslation", {"height_factor": 0.3, "width_factor": (0.1, 0.4)}, (4, 5, 2), (4, 5, 2)),
    (
        "RandomTranslation",
        {"height_factor": 0.9, "width_factor": 0.9, "fill_mode": "constant", "fill_value": 0.5},
        (4, 3, 1),
        (4, 3, 1),
    ),
    (
        "RandomTranslation",
        {"height_factor": 0.9, "width_factor": 0.9, "fill_mode": "wrap", "interpolation": "nearest"},
        (4, 3, 1),
        (4, 3, 1),
    ),
    ("RandomRotation", {"factor": 0.2}, (5, 4, 2), (5, 4, 2)),
    ("RandomRotation", {"factor": (0.1, 0.2), "fill_mode": "nearest"}, (4, 4, 1), (4, 4, 1)),
    ("RandomZoom", {"height_factor": (0.2, 0.5)}, (5, 4, 2), (5, 4, 2)),
    ("RandomZoom", {"height_factor": 0.3, "width_factor": 0.5, "fill_mode": "wrap"}, (4, 5, 1), (4, 5, 1)),
    ("RandomFlip", {}, (3, 4, 2), (3, 4, 2)),
    ("RandomContrast", {"factor": 0.5, "value_range": (-5, 5)}, (3, 2, 2), (3, 2, 2)),
    ("RandomBrightness", {"factor": 0.2, "value_range": (-5, 5)}, (3, 2, 2), (3, 2, 2)),
]

CHANCE = {
    *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianDropout", "GaussianNoise", "AlphaDropout"),
    *("RReLU", "RandomTranslation", "RandomRotation", "RandomZoom", "RandomFlip", "RandomContrast", "RandomBrightness"),
}
"""Layers that draw numbers in training, unless an argument is 0."""


def draws(name: str, options: dict[str, Any]) -> bool:
    """Whether such a layer draws numbers in training."""
    return (name in CHANCE and 0 not in options.values()) or "recurrent_dropout" in options


def examples(n: int, shape: Shape, name: str = "") -> Array:
    """Examples for the layer `name`. An embedding needs numbers of rows: a quarter more, so that differences stay."""
    random = np.random.default_rng(1)
    return random.integers(0, 5, (n, *shape)) + 0.25 if name == "Embedding" else random.normal(size=(n, *shape))
