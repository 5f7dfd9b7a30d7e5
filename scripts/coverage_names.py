"""What Keras and PyTorch call Talweg's names, and what they have that Talweg has not: the data of coverage_page.py.

Where a name is not in `own`, Keras's is the same. The tests hold all of this against Keras and PyTorch themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Section:
    """One table of the page.

    place     of the names: under talweg.keras and keras
    torch_in  the module of PyTorch's names; "" where PyTorch has nothing of the kind
    own       those of Talweg's names that Keras does not have
    torch     PyTorch's names for some of Talweg's
    more      names that are no entries of the table, but stand in it: Talweg's to PyTorch's
    absent_keras, absent_torch  what they have besides: a reason to names
    lists     names that a list of the course (seed 004) has: Keras's and PyTorch's
    """

    title: str
    place: str
    torch_in: str = ""
    own: str = ""
    torch: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, str] = field(default_factory=dict)
    absent_keras: Mapping[str, str] = field(default_factory=dict)
    absent_torch: Mapping[str, str] = field(default_factory=dict)
    lists: tuple[str, str] = ("", "")


VOLUMES = "of volumes, or of films: networks here see numbers, sequences and pictures"
ATTENTION = "of transformers, which are larger than what this is for; `Dot`, `Softmax` and `Dense` compute attention"
ADAPTIVE = "sizes are known when a model is built: a `pool_size` does it, where it divides them"
CELLS = "a recurrent layer is one whole: `SimpleRNN`, `LSTM`, `GRU`"
ONE_GPU = "of several devices"
CONTAINERS = "of writing a model as a class: here it is `Sequential` or `Model(inputs, outputs)`"

LAYERS = Section(
    "Layers",
    "layers",
    "torch.nn",
    own="RReLU",
    torch={
        "Dense": "Linear LazyLinear",
        "Embedding": "Embedding",
        "Flatten": "Flatten",
        "Reshape": "Unflatten",
        "Identity": "Identity",
        "Conv1D": "Conv1d LazyConv1d",
        "Conv2D": "Conv2d LazyConv2d",
        "Conv1DTranspose": "ConvTranspose1d LazyConvTranspose1d",
        "Conv2DTranspose": "ConvTranspose2d LazyConvTranspose2d",
        "MaxPooling1D": "MaxPool1d",
        "MaxPooling2D": "MaxPool2d",
        "AveragePooling1D": "AvgPool1d",
        "AveragePooling2D": "AvgPool2d",
        "BatchNormalization": "BatchNorm1d BatchNorm2d LazyBatchNorm1d LazyBatchNorm2d",
        "LayerNormalization": "LayerNorm",
        "GroupNormalization": "GroupNorm InstanceNorm1d InstanceNorm2d LazyInstanceNorm1d LazyInstanceNorm2d",
        "RMSNormalization": "RMSNorm",
        "Dropout": "Dropout",
        "SpatialDropout1D": "Dropout1d",
        "SpatialDropout2D": "Dropout2d",
        "AlphaDropout": "AlphaDropout",
        "ZeroPadding1D": "ZeroPad1d",
        "ZeroPadding2D": "ZeroPad2d",
        "UpSampling2D": "Upsample UpsamplingBilinear2d UpsamplingNearest2d",
        "ReLU": "ReLU",
        "LeakyReLU": "LeakyReLU",
        "PReLU": "PReLU",
        "RReLU": "RReLU",
        "ELU": "ELU",
        "Softmax": "Softmax Softmax2d",
        "SimpleRNN": "RNN",
        "LSTM": "LSTM",
        "GRU": "GRU",
    },
    more={"Layer": "Module"},
    absent_keras={
        VOLUMES: "Conv3D Conv3DTranspose Convolution3D Convolution3DTranspose AveragePooling3D AvgPool3D MaxPooling3D "
        "MaxPool3D GlobalAveragePooling3D GlobalAvgPool3D GlobalMaxPooling3D GlobalMaxPool3D Cropping3D UpSampling3D "
        "ZeroPadding3D SpatialDropout3D ConvLSTM1D ConvLSTM2D ConvLSTM3D",
        ATTENTION: "AdditiveAttention Attention GroupQueryAttention MultiHeadAttention ReversibleEmbedding",
        ADAPTIVE: "AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D AdaptiveMaxPooling1D "
        "AdaptiveMaxPooling2D AdaptiveMaxPooling3D",
        CELLS: "RNN SimpleRNNCell LSTMCell GRUCell StackedRNNCells",
        "tables and text become numbers before training: `talweg.data`": "CategoryEncoding Discretization "
        "HashedCrossing Hashing IntegerLookup StringLookup TextVectorization",
        "pictures come in one size: `talweg.data.read_images(size=...)`": "Resizing CenterCrop RandomCrop",
        "further ways of changing pictures by chance; a `Layer` of one's own is written as those here are": "AugMix "
        "AutoContrast ContrastLimitedAdaptiveHistogramEqualization CutMix Equalization MixUp RandAugment "
        "RandomColorDegeneration RandomColorJitter RandomElasticTransform RandomErasing RandomGaussianBlur "
        "RandomGrayscale RandomHue RandomInvert RandomPerspective RandomPosterization RandomSaturation RandomSharpness "
        "RandomShear Solarization MaxNumBoundingBoxes",
        "of sound": "MelSpectrogram STFTSpectrogram",
        "`Dense` and `Permute` compute it": "EinsumDense",
        "for networks that are trained against each other": "SpectralNormalization",
        "any code, which cannot be saved; a `Layer` of one's own is as short": "Lambda Wrapper InputSpec",
        "`Sequential` is one": "Pipeline",
        "of other frameworks": "FlaxLayer JaxLayer TFSMLayer TorchModuleWrapper",
    },
    absent_torch={
        VOLUMES: "Conv3d ConvTranspose3d LazyConv3d LazyConvTranspose3d AvgPool3d MaxPool3d MaxUnpool3d LPPool3d "
        "FractionalMaxPool3d BatchNorm3d LazyBatchNorm3d InstanceNorm3d LazyInstanceNorm3d Dropout3d CircularPad3d "
        "ConstantPad3d ReflectionPad3d ReplicationPad3d ZeroPad3d",
        ATTENTION: "MultiheadAttention Transformer TransformerDecoder TransformerDecoderLayer TransformerEncoder "
        "TransformerEncoderLayer",
        ADAPTIVE: "AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d "
        "AdaptiveMaxPool3d",
        CELLS: "RNNBase RNNCell RNNCellBase LSTMCell GRUCell",
        "pads with zeros only: `ZeroPadding1D`, `ZeroPadding2D`": "CircularPad1d CircularPad2d ConstantPad1d "
        "ConstantPad2d ReflectionPad1d ReflectionPad2d ReplicationPad1d ReplicationPad2d",
        "rare ways of pooling": "FractionalMaxPool2d LPPool1d LPPool2d MaxUnpool1d MaxUnpool2d",
        "`Reshape` and `Permute` compute it": "ChannelShuffle PixelShuffle PixelUnshuffle",
        "windows by themselves; convolutions and poolings take theirs": "Fold Unfold",
        "before batch normalization came": "LocalResponseNorm CrossMapLRN2d",
        "`Dot(normalize=True)`, and `talweg.losses.DISTANCES`": "CosineSimilarity PairwiseDistance",
        "of two inputs, or of bags of words": "Bilinear EmbeddingBag FeatureAlphaDropout",
        ONE_GPU: "DataParallel SyncBatchNorm",
        CONTAINERS: "Container ModuleDict ModuleList ParameterDict ParameterList Sequential",
    },
)

ACTIVATIONS = Section(
    "Activations",
    "activations",
    "torch.nn",
    own="rrelu gaussian softmin",
    torch={
        "relu": "ReLU",
        "relu6": "ReLU6",
        "leaky_relu": "LeakyReLU",
        "rrelu": "RReLU",
        "threshold": "Threshold",
        "elu": "ELU",
        "celu": "CELU",
        "selu": "SELU",
        "gelu": "GELU",
        "glu": "GLU",
        "silu": "SiLU",
        "mish": "Mish",
        "sigmoid": "Sigmoid",
        "log_sigmoid": "LogSigmoid",
        "hard_sigmoid": "Hardsigmoid",
        "hard_silu": "Hardswish",
        "hard_tanh": "Hardtanh",
        "hard_shrink": "Hardshrink",
        "soft_shrink": "Softshrink",
        "tanh": "Tanh",
        "tanh_shrink": "Tanhshrink",
        "softplus": "Softplus",
        "softsign": "Softsign",
        "softmax": "Softmax",
        "log_softmax": "LogSoftmax",
        "softmin": "Softmin",
    },
)

TORCH_LOSSES = (
    "L1Loss MSELoss CrossEntropyLoss CTCLoss NLLLoss PoissonNLLLoss GaussianNLLLoss KLDivLoss BCELoss "
    "BCEWithLogitsLoss MarginRankingLoss HingeEmbeddingLoss MultiLabelMarginLoss HuberLoss SmoothL1Loss SoftMarginLoss "
    "MultiLabelSoftMarginLoss CosineEmbeddingLoss MultiMarginLoss TripletMarginLoss TripletMarginWithDistanceLoss"
)

LOSSES = Section(
    "Losses",
    "losses",
    "torch.nn",
    own=f"{TORCH_LOSSES} Reduction",
    torch={name: name for name in TORCH_LOSSES.split()},
    more={"Loss": "", "Reduction": ""},
    absent_torch={
        "a softmax over words by how frequent they are": "AdaptiveLogSoftmaxWithLoss",
        "`CrossEntropyLoss` after a `Dense`, in one": "LinearCrossEntropyLoss",
        "`NLLLoss`, under an old name": "NLLLoss2d",
    },
    lists=(
        "BinaryCrossentropy CategoricalCrossentropy CategoricalHinge CosineSimilarity Hinge Huber KLDivergence LogCosh "
        "Loss MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredError MeanSquaredLogarithmicError Poisson "
        "Reduction SparseCategoricalCrossentropy SquaredHinge",
        TORCH_LOSSES,
    ),
)

TORCH_OPTIMIZERS = {
    **{
        name: name for name in ("Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Muon", "RMSprop", "SGD")
    },
    "Nadam": "NAdam",
    "SparseAdam": "SparseAdam",
    "ASGD": "ASGD",
    "LBFGS": "LBFGS",
    "RAdam": "RAdam",
    "Rprop": "Rprop",
}

OPTIMIZERS = Section(
    "Optimizers",
    "optimizers",
    "torch.optim",
    own="SparseAdam ASGD LBFGS RAdam Rprop",
    torch=TORCH_OPTIMIZERS,
    more={"Optimizer": "Optimizer"},
    absent_keras={
        "for floats of 16 bits, which no engine has": "LossScaleOptimizer",
        "one rule trains the whole model; `trainable` says what": "MultiOptimizer OptimizerMap",
        "newer than what this covers": "ScheduleFreeAdamW",
    },
    lists=(
        "Adadelta Adagrad Adam Adamax Ftrl Nadam Optimizer RMSprop SGD",
        "Adadelta Adagrad Adam AdamW SparseAdam Adamax ASGD LBFGS NAdam RAdam RMSprop Rprop SGD",
    ),
)

SCHEDULES = Section(
    "Learning-rate schedules",
    "optimizers.schedules",
    "torch.optim.lr_scheduler",
    own="ConstantRate LinearRate CyclicRate OneCycle SequentialSchedule ChainedSchedule Warmup StepDecay "
    "MultiStepDecay",
    torch={
        "ConstantRate": "ConstantLR",
        "LinearRate": "LinearLR",
        "CyclicRate": "CyclicLR",
        "OneCycle": "OneCycleLR",
        "SequentialSchedule": "SequentialLR",
        "ChainedSchedule": "ChainedScheduler",
        "StepDecay": "StepLR",
        "MultiStepDecay": "MultiStepLR",
        "ExponentialDecay": "ExponentialLR",
        "PolynomialDecay": "PolynomialLR",
        "CosineDecay": "CosineAnnealingLR",
        "CosineDecayRestarts": "CosineAnnealingWarmRestarts",
    },
    more={"LearningRateSchedule": "LRScheduler"},
    absent_torch={
        "any function of the step's number will do as a schedule": "LambdaLR MultiplicativeLR",
        "a callback, as in Keras: `talweg.callbacks.ReduceLROnPlateau`": "ReduceLROnPlateau",
    },
)

METRICS = Section("Metrics", "metrics", own="ConfusionMatrix MatthewsCorrelation", more={"Metric": ""})

INITIALIZERS = Section(
    "Initializers",
    "initializers",
    "torch.nn.init",
    torch={
        "Zeros": "zeros_",
        "Ones": "ones_",
        "Constant": "constant_",
        "RandomNormal": "normal_",
        "RandomUniform": "uniform_",
        "TruncatedNormal": "trunc_normal_",
        "Identity": "eye_",
        "Orthogonal": "orthogonal_",
        "GlorotUniform": "xavier_uniform_",
        "GlorotNormal": "xavier_normal_",
        "HeUniform": "kaiming_uniform_",
        "HeNormal": "kaiming_normal_",
    },
    more={"Initializer": ""},
    absent_keras={"of sound": "STFT STFTInitializer stft"},
    absent_torch={
        "a kernel that changes nothing, or one mostly of zeros; `Constant` takes any array": "dirac_ sparse_"
    },
)

REGULARIZERS = Section("Regularizers", "regularizers", more={"Regularizer": ""})
CONSTRAINTS = Section("Constraints", "constraints", more={"Constraint": ""})

SECTIONS = (*(LAYERS, ACTIVATIONS, LOSSES, OPTIMIZERS, SCHEDULES, METRICS, INITIALIZERS, REGULARIZERS, CONSTRAINTS),)
EVERYWHERE = "serialize deserialize"  # what Keras has in each module: here `to_config` and `from_config` of each thing
