"""The autoencoder of MLPerf Tiny, which detects anomalies in sounds of machines."""

from torch import nn

from downshift.sw.networks.checks import check_images

__all__ = ["Autoencoder"]

SIZES = (128, 128, 128, 128, 8, 128, 128, 128, 128)


class Autoencoder(nn.Sequential):
    """Nine hidden layers, the middle one of 8; 264,192 products for 640 features.

    Parameters
    ----------
    input_shape : (height, width, channels)
        Flattened; (1, 640, 1) in the benchmark.
    outputs : int
        As many as inputs, to reconstruct them.

    Notes
    -----
    Banbury et al., *MLPerf Tiny Benchmark*, arXiv 2106.07597.
    """

    def __init__(self, input_shape: tuple[int, int, int], outputs: int):
        check_images(input_shape, outputs)
        height, width, channels = input_shape
        super().__init__()
        self.flatten = nn.Flatten()
        inputs = height * width * channels
        for index, size in enumerate(SIZES, start=1):
            self.add_module(f"linear{index}", nn.Linear(inputs, size, bias=False))
            self.add_module(f"norm{index}", nn.BatchNorm1d(size))
            self.add_module(f"relu{index}", nn.ReLU())
            inputs = size
        self.linear = nn.Linear(inputs, outputs)
