"""Layers that pass their input through in inference mode: their activations are another layer's."""

from __future__ import annotations

import keras

__all__ = ["AUGMENTATION", "PASSING_THROUGH", "passes_through"]

# All that Keras has but `RandomCrop`, which changes the size of an image in inference too.
AUGMENTATION = (
    keras.layers.AugMix,
    keras.layers.CutMix,
    keras.layers.Equalization,
    keras.layers.MixUp,
    keras.layers.RandAugment,
    keras.layers.RandomBrightness,
    keras.layers.RandomColorDegeneration,
    keras.layers.RandomColorJitter,
    keras.layers.RandomContrast,
    keras.layers.RandomElasticTransform,
    keras.layers.RandomErasing,
    keras.layers.RandomFlip,
    keras.layers.RandomGaussianBlur,
    keras.layers.RandomGrayscale,
    keras.layers.RandomHue,
    keras.layers.RandomInvert,
    keras.layers.RandomPerspective,
    keras.layers.RandomPosterization,
    keras.layers.RandomRotation,
    keras.layers.RandomSaturation,
    keras.layers.RandomSharpness,
    keras.layers.RandomShear,
    keras.layers.RandomTranslation,
    keras.layers.RandomZoom,
    keras.layers.Solarization,
)
PASSING_THROUGH = (
    *AUGMENTATION,
    keras.layers.ActivityRegularization,
    keras.layers.AlphaDropout,
    keras.layers.Dropout,
    keras.layers.Flatten,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.Identity,
    keras.layers.Masking,
    keras.layers.Permute,
    keras.layers.RepeatVector,
    keras.layers.Reshape,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
    keras.layers.UpSampling1D,
    keras.layers.UpSampling3D,
    keras.layers.ZeroPadding1D,
    keras.layers.ZeroPadding2D,
    keras.layers.ZeroPadding3D,
)


def passes_through(layer: keras.layers.Layer) -> bool:
    """Whether a layer only passes its input through, moved or repeated at most.

    So do sequences of such layers, layers that apply one to each step, and activations that are
    the identity.
    """
    if isinstance(layer, keras.Sequential | keras.layers.Pipeline):
        return all(passes_through(each) for each in layer.layers)
    if isinstance(layer, keras.layers.TimeDistributed):
        return passes_through(layer.layer)
    if isinstance(layer, keras.layers.Activation):
        return layer.activation is keras.activations.linear
    if isinstance(layer, keras.layers.UpSampling2D):
        return layer.interpolation == "nearest"
    return isinstance(layer, PASSING_THROUGH)
