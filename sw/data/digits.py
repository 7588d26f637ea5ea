"""The handwritten digits that travel inside scikit-learn."""

import numpy as np

from downshift.sw.data.images import Images, make_images

__all__ = ["load_digits"]


def load_digits() -> Images:
    """Load 1,797 digits of 8 x 8 pixels, three quarters to train and validate, a quarter to test.

    Codes are 0…16, which the network sees as 0…1. The split is stratified and always the same.
    Source: E. Alpaydin and C. Kaynak, *Optical Recognition of Handwritten Digits*, UCI Machine
    Learning Repository, 1998.
    """
    # Half a second to import, and only training needs it.
    from sklearn.datasets import load_digits as load
    from sklearn.model_selection import train_test_split

    pixels, labels = load(return_X_y=True)
    codes = pixels.astype(np.uint8).reshape(-1, 8, 8, 1)
    split = train_test_split(codes, labels, test_size=0.25, stratify=labels, random_state=0)
    names = ("train_x", "test_x", "train_y", "test_y")
    parts = {name: np.asarray(part) for name, part in zip(names, split, strict=True)}
    return make_images(parts, input_scale=1 / 16, classes=10, where="digits")
