"""What the qonnx package makes of a model."""

from contextlib import contextmanager

import numpy as np
import onnx
import onnxruntime
import qonnx.core.onnx_exec
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.infer_shapes import InferShapes


@contextmanager
def readable_models():
    """The runtime lags behind what the package writes by default."""
    session = onnxruntime.InferenceSession

    def older(data, *arguments, **options):
        model = onnx.load_model_from_string(data)
        model.ir_version = 10
        return session(model.SerializeToString(), *arguments, **options)

    onnxruntime.InferenceSession = older
    try:
        yield
    finally:
        onnxruntime.InferenceSession = session


def executed(model, x, entering="x", leaving="y"):
    """Outputs, (n, …), of inputs one by one: the package fixes the batch at what the file says."""
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    for output in model.graph.output:
        if output.type.tensor_type.shape.dim:
            output.type.tensor_type.shape.dim[0].dim_value = 1
    with readable_models():
        wrapped = ModelWrapper(model).transform(InferShapes())
        rows = [
            qonnx.core.onnx_exec.execute_onnx(wrapped, {entering: row[None]})[leaving][0]
            for row in x
        ]
    return np.array(rows).reshape(len(x), -1)
