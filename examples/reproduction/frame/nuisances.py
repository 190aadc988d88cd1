"""Images with something in them that the task does not ask for: clutter, another digit, squares.

Every generator takes images ``[examples, height, width, channels]`` in [0, 1] and a NumPy
generator, and returns the images with their nuisance and what there is to know about it.
"""

import numpy as np

INK = 0.2  # a pixel brighter than this belongs to what is drawn
NUM_SQUARES = 10  # of an occlusion pattern, as in "Emergence"


def resized(x: np.ndarray, side: int) -> np.ndarray:
    """Images of about `side` pixels: averaged over, or repeated in, whole blocks of pixels."""
    if (times := round(side / x.shape[1])) > 1:
        return x.repeat(times, axis=1).repeat(times, axis=2)
    block = max(1, round(x.shape[1] / side))
    height, width = x.shape[1] // block * block, x.shape[2] // block * block
    shape = (len(x), height // block, block, width // block, block, x.shape[3])
    return x[:, :height, :width].reshape(shape).mean((2, 4))


def cluttered(
    x: np.ndarray, canvas: int, num_fragments: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each image at a random place of a larger canvas, among square pieces of other images.

    Args:
        x: images with a dark background.
        canvas: side of the canvas in pixels.
        num_fragments: how many pieces, each of about a third of the image's side.

    Returns:
        The canvas; where the image itself has ink and where the pieces have, as bool
        ``[examples, canvas, canvas]``.
    """
    height, width, channels = x.shape[1:]
    piece = max(2, round(0.35 * height))
    inked = np.argwhere(x.max(-1) > INK)  # pieces are centred on ink, so that none is empty
    scenes = np.zeros((len(x), canvas, canvas, channels), np.float32)
    clutter = np.zeros_like(scenes)
    for scene, around, image in zip(scenes, clutter, x, strict=True):
        for other, row, column in inked[random.integers(len(inked), size=num_fragments)]:
            row = np.clip(row - piece // 2, 0, height - piece)
            column = np.clip(column - piece // 2, 0, width - piece)
            fragment = x[other, row : row + piece, column : column + piece]
            _draw(around, fragment, *random.integers(canvas - piece + 1, size=2))
        _draw(scene, image, *random.integers(canvas - height + 1, size=2))
    own = scenes.max(-1) > INK
    return np.maximum(scenes, clutter), own, (clutter.max(-1) > INK) & ~own


def superimposed(x: np.ndarray, digits: np.ndarray) -> np.ndarray:
    """Each image with one of the smaller `digits`, of one channel, in white in its last corner."""
    height, width = digits.shape[1:3]
    result = x.copy()
    corner = result[:, -height:, -width:]
    corner += digits * (1 - corner)
    return result


def occlusion_patterns(side: int, num_patterns: int, random: np.random.Generator) -> np.ndarray:
    """Patterns of ten squares each, a seventh of the side wide, bool ``[patterns, side, side]``."""
    square = max(1, round(side / 7))
    patterns = np.zeros((num_patterns, side, side), bool)
    for pattern in patterns:
        for row, column in random.integers(side - square + 1, size=(NUM_SQUARES, 2)):
            pattern[row : row + square, column : column + square] = True
    return patterns


def _draw(canvas, image, row, column):
    """Lay an image upon a canvas, in place, the brighter of the two to be seen."""
    window = canvas[row : row + image.shape[0], column : column + image.shape[1]]
    np.maximum(window, image, out=window)
