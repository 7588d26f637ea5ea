"""Torch modules as integer graphs: float ones, and Brevitas ones that were trained elsewhere."""

import io
import warnings
from collections.abc import Mapping

import numpy as np
import torch
from brevitas.nn.mixin import QuantLayerMixin
from torch import Tensor, nn

from downshift.hw.errors import DownshiftError
from downshift.sw.graph.integer_graph import IntegerGraph
from downshift.sw.importing.importer import import_graph
from downshift.sw.importing.onnx_tensors import shown
from downshift.sw.importing.ranges import Range

__all__ = ["import_module"]

OPSET = 17


def import_module(
    module: nn.Module,
    example: Tensor,
    *,
    calibration: np.ndarray | None = None,
    assignments: Mapping[int, int | Mapping[str, int]] | None = None,
    method: Range = Range.MSE,
    correct_bias: bool = True,
    name: str = "network",
) -> IntegerGraph:
    """Turn a torch module into integers: it is written as ONNX, in memory, and imported.

    Parameters
    ----------
    module : nn.Module
        Of float layers, or of Brevitas' quantized ones, whose scales and bits are kept.
    example : Tensor, shape (1, channels, height, width) or (1, features)
        An input; only its shape counts.
    calibration, assignments, method, correct_bias, name
        As `import_graph` takes them.

    Returns
    -------
    IntegerGraph

    Raises
    ------
    DownshiftError
        If torch cannot write it, or a part of it is not supported.
    """
    quantized = any(isinstance(part, QuantLayerMixin) for part in module.modules())
    training, file = module.training, io.BytesIO()
    module.eval()
    options = {"opset_version": OPSET, "dynamo": False}
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the exporter's own
            if quantized:
                from brevitas.export import export_onnx_qcdq  # it warns of what it does not need

                export_onnx_qcdq(module, args=example, export_path=file, **options)
            else:
                torch.onnx.export(module, (example,), file, **options)
    except Exception as error:  # whatever the user's forward, torch or Brevitas raise
        raise DownshiftError(
            f"{type(module).__name__} cannot be written as ONNX ({shown(str(error))}); make its "
            "forward traceable by torch.jit.trace"
        ) from error
    finally:
        module.train(training)
    return import_graph(
        file.getvalue(),
        calibration=calibration,
        assignments=assignments,
        method=method,
        correct_bias=correct_bias,
        name=name,
    )
