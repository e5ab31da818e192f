"""A natural image, in pieces: the photograph of a flower that scikit-learn carries."""

import functools

import torch
from sklearn.datasets import load_sample_image

__all__ = ["photographs"]


@functools.cache
def _whole():
    return torch.from_numpy(load_sample_image("flower.jpg").copy()).permute(2, 0, 1).float()


def photographs(count, height, width, channels=3):
    """Pieces of the photograph, shrunk by the mean of 4×4 pixels, in 8 bits; gray ones are its green."""
    shrunk = torch.nn.functional.avg_pool2d(_whole(), 4).round() / 255
    rows, columns = shrunk.shape[1] - height, shrunk.shape[2] - width
    places = [(7 * place % rows, 11 * place % columns) for place in range(count)]
    pieces = torch.stack([shrunk[:, row : row + height, column : column + width] for row, column in places])
    return pieces if channels == 3 else pieces[:, 1:2]
