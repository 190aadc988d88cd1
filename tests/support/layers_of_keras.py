"""Every layer of Keras, small, with the shape of an input for it."""

import keras

layers = keras.layers
LINE, SQUARE, CUBE = (6, 4), (4, 4, 4), (3, 4, 4, 4)


def on(shape, **made):
    return {name: (shape, make) for name, make in made.items()}


CASES = {
    **on(
        LINE,
        Activation=lambda: layers.Activation("tanh"),
        ActivityRegularization=lambda: layers.ActivityRegularization(0.1),
        AdaptiveAveragePooling1D=lambda: layers.AdaptiveAveragePooling1D(2),
        AdaptiveMaxPooling1D=lambda: layers.AdaptiveMaxPooling1D(2),
        AlphaDropout=lambda: layers.AlphaDropout(0.5),
        AveragePooling1D=lambda: layers.AveragePooling1D(2),
        BatchNormalization=lambda: layers.BatchNormalization(),
        Bidirectional=lambda: layers.Bidirectional(layers.GRU(2)),
        Conv1D=lambda: layers.Conv1D(2, 3, activation="tanh"),
        Conv1DTranspose=lambda: layers.Conv1DTranspose(2, 3, activation="tanh"),
        Cropping1D=lambda: layers.Cropping1D(1),
        Dense=lambda: layers.Dense(2, activation="tanh"),
        DepthwiseConv1D=lambda: layers.DepthwiseConv1D(3, activation="tanh"),
        Dropout=lambda: layers.Dropout(0.5),
        ELU=lambda: layers.ELU(),
        EinsumDense=lambda: layers.EinsumDense("abc,cd->abd", (6, 2), activation="tanh"),
        Flatten=lambda: layers.Flatten(),
        GRU=lambda: layers.GRU(2),
        GaussianDropout=lambda: layers.GaussianDropout(0.5),
        GaussianNoise=lambda: layers.GaussianNoise(0.5),
        GlobalAveragePooling1D=lambda: layers.GlobalAveragePooling1D(),
        GlobalMaxPooling1D=lambda: layers.GlobalMaxPooling1D(),
        GroupNormalization=lambda: layers.GroupNormalization(2),
        Identity=lambda: layers.Identity(),
        LSTM=lambda: layers.LSTM(2),
        Lambda=lambda: layers.Lambda(lambda x: x**3),
        LayerNormalization=lambda: layers.LayerNormalization(),
        LeakyReLU=lambda: layers.LeakyReLU(),
        Masking=lambda: layers.Masking(),
        MaxPooling1D=lambda: layers.MaxPooling1D(2),
        Normalization=lambda: layers.Normalization(mean=0.5, variance=2.0),
        PReLU=lambda: layers.PReLU(),
        Permute=lambda: layers.Permute((2, 1)),
        RMSNormalization=lambda: layers.RMSNormalization(),
        RNN=lambda: layers.RNN(layers.StackedRNNCells([layers.GRUCell(2), layers.LSTMCell(2)])),
        ReLU=lambda: layers.ReLU(),
        Rescaling=lambda: layers.Rescaling(0.5, 1.0),
        Reshape=lambda: layers.Reshape((4, 6)),
        SeparableConv1D=lambda: layers.SeparableConv1D(2, 3, activation="tanh"),
        SimpleRNN=lambda: layers.SimpleRNN(2),
        Softmax=lambda: layers.Softmax(),
        SpatialDropout1D=lambda: layers.SpatialDropout1D(0.5),
        SpectralNormalization=lambda: layers.SpectralNormalization(layers.Dense(2)),
        TimeDistributed=lambda: layers.TimeDistributed(layers.Dense(2, activation="tanh")),
        UnitNormalization=lambda: layers.UnitNormalization(),
        UpSampling1D=lambda: layers.UpSampling1D(2),
        ZeroPadding1D=lambda: layers.ZeroPadding1D(1),
    ),
    **on(
        SQUARE,
        AdaptiveAveragePooling2D=lambda: layers.AdaptiveAveragePooling2D(2),
        AdaptiveMaxPooling2D=lambda: layers.AdaptiveMaxPooling2D(2),
        AveragePooling2D=lambda: layers.AveragePooling2D(2),
        CenterCrop=lambda: layers.CenterCrop(2, 2),
        Conv2D=lambda: layers.Conv2D(2, 3, activation="tanh"),
        Conv2DTranspose=lambda: layers.Conv2DTranspose(2, 3, activation="tanh"),
        ConvLSTM1D=lambda: layers.ConvLSTM1D(2, 2),
        Cropping2D=lambda: layers.Cropping2D(1),
        DepthwiseConv2D=lambda: layers.DepthwiseConv2D(3, activation="tanh"),
        GlobalAveragePooling2D=lambda: layers.GlobalAveragePooling2D(),
        GlobalMaxPooling2D=lambda: layers.GlobalMaxPooling2D(),
        MaxPooling2D=lambda: layers.MaxPooling2D(2),
        Resizing=lambda: layers.Resizing(2, 2, interpolation="nearest"),
        SeparableConv2D=lambda: layers.SeparableConv2D(2, 3, activation="tanh"),
        SpatialDropout2D=lambda: layers.SpatialDropout2D(0.5),
        UpSampling2D=lambda: layers.UpSampling2D(2),
        ZeroPadding2D=lambda: layers.ZeroPadding2D(1),
    ),
    **on(
        CUBE,
        Conv3D=lambda: layers.Conv3D(2, 2, activation="tanh"),
        Conv3DTranspose=lambda: layers.Conv3DTranspose(2, 2, activation="tanh"),
        ConvLSTM2D=lambda: layers.ConvLSTM2D(2, 2),
        Cropping3D=lambda: layers.Cropping3D(1),
        GlobalAveragePooling3D=lambda: layers.GlobalAveragePooling3D(),
        GlobalMaxPooling3D=lambda: layers.GlobalMaxPooling3D(),
        SpatialDropout3D=lambda: layers.SpatialDropout3D(0.5),
        UpSampling3D=lambda: layers.UpSampling3D(2),
        ZeroPadding3D=lambda: layers.ZeroPadding3D(1),
    ),
    **on((2, *CUBE), ConvLSTM3D=lambda: layers.ConvLSTM3D(2, 2)),
    **on((4,), RepeatVector=lambda: layers.RepeatVector(2)),
}
# TensorFlow has no kernel for these in float64.
IN_FLOAT32 = {
    "AdaptiveAveragePooling3D": lambda: layers.AdaptiveAveragePooling3D(2),
    "AdaptiveMaxPooling3D": lambda: layers.AdaptiveMaxPooling3D(2),
    "AveragePooling3D": lambda: layers.AveragePooling3D(2),
    "MaxPooling3D": lambda: layers.MaxPooling3D(2),
}
# Layers of two inputs, given twice their own weights' outputs.
PAIRS = {
    "Add": lambda: layers.Add(),
    "AdditiveAttention": lambda: layers.AdditiveAttention(),
    "Attention": lambda: layers.Attention(),
    "Average": lambda: layers.Average(),
    "Concatenate": lambda: layers.Concatenate(),
    "Dot": lambda: layers.Dot(2),
    "GroupedQueryAttention": lambda: layers.GroupQueryAttention(2, 4, 2),
    "Maximum": lambda: layers.Maximum(),
    "Minimum": lambda: layers.Minimum(),
    "MultiHeadAttention": lambda: layers.MultiHeadAttention(2, 2),
    "Multiply": lambda: layers.Multiply(),
    "Subtract": lambda: layers.Subtract(),
}
TAKES_A_LIST = set(PAIRS) - {"GroupedQueryAttention", "MultiHeadAttention"}
# What is no layer in front of which weights could stand: other inputs than floats, cells, bases,
# and what augments images (in inference those pass their input through).
ELSEWHERE = {
    *("CategoryEncoding", "Discretization", "Embedding", "HashedCrossing", "Hashing"),
    *("IntegerLookup", "MaxNumBoundingBoxes", "ReversibleEmbedding", "StringLookup"),
    *("TextVectorization", "FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper"),
    *("GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells", "InputLayer", "Layer"),
    *("Wrapper", "Pipeline", "AugMix", "AutoContrast", "CutMix", "Equalization", "MixUp"),
    *("ContrastLimitedAdaptiveHistogramEqualization", "RandAugment", "Solarization"),
    *("MelSpectrogram", "STFTSpectrogram"),
}
