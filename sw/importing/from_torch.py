"""Torch modules as integer graphs: float ones, and Brevitas ones that were trained elsewhere."""

import io
import warnings
from typing import Any

import torch
from brevitas.nn.mixin import QuantLayerMixin
from torch import Tensor, nn

from downshift.hw.errors import DownshiftError
from downshift.sw.graph.integer_graph import IntegerGraph
from downshift.sw.importing.importer import import_graph
from downshift.sw.importing.onnx_tensors import shown

__all__ = ["import_module"]

OPSET = 17


def import_module(
    module: nn.Module, example: Tensor, *, name: str = "network", **options: Any
) -> IntegerGraph:
    """Turn a torch module into integers: it is written as ONNX, in memory, and imported.

    Parameters
    ----------
    module : nn.Module
        Of float layers, or of Brevitas' quantized ones, whose scales and bits are kept.
    example : Tensor, shape (1, channels, height, width) or (1, features)
        An input; only its shape counts.
    name : str
        Of the graph.
    **options
        Of `import_graph`.

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
    writing = {"opset_version": OPSET, "dynamo": False}
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the exporter's own
            if quantized:
                from brevitas.export import export_onnx_qcdq  # it warns of what it does not need

                export_onnx_qcdq(module, args=example, export_path=file, **writing)
            else:
                torch.onnx.export(module, (example,), file, **writing)
    except Exception as error:  # whatever the user's forward, torch or Brevitas raise
        raise DownshiftError(
            f"{type(module).__name__} cannot be written as ONNX ({shown(str(error))}); make its "
            "forward traceable by torch.jit.trace"
        ) from error
    finally:
        module.train(training)
    return import_graph(file.getvalue(), name=name, **options)
