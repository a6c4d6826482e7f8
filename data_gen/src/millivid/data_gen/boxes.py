"""Smaller pictures: the mean over boxes of pixels."""

import numpy as np
from numpy.typing import NDArray


def average_boxes(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The rounded mean over boxes of ``side`` x ``side`` pixels, at most 16: uint8 [height, width, 3] to a smaller one."""
    if side == 1:
        return picture.copy()
    rows, columns, channels = picture.shape[0] // side, picture.shape[1] // side, picture.shape[2]
    # Adding slices is several times as fast as summing over axes.
    lines = np.zeros((rows, columns * side, channels), np.uint16)
    for row in range(side):
        lines += picture[row::side]
    boxes = lines.reshape(rows, columns, side, channels)
    total = boxes[:, :, 0] + side * side // 2
    for column in range(1, side):
        total += boxes[:, :, column]
    return (total // (side * side)).astype(np.uint8)
