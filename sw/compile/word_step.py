"""The steps of a network on a table accelerator: its layers, and the pools after them."""

from dataclasses import dataclass

from downshift.hw.lanes_layer import MOST_ROWS
from downshift.hw.table import table_slots
from downshift.hw.word_chains import CHAIN
from downshift.sw.compile.word_map import WordMap
from downshift.sw.graph.integer_graph import LOGIT_WIDTH, IntegerGraph, Layer

__all__ = ["Step", "graph_steps", "is_dense", "lane_columns", "slots_of", "suits_lanes"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """A layer, or the pool after one."""

    layer: Layer
    source: str
    target: str
    pool: bool = False

    @property
    def residual(self) -> str | None:
        """Map that is added."""
        return None if self.pool else self.layer.residual

    @property
    def stride(self) -> tuple[int, int]:
        """Rows and columns from one output to the next."""
        return self.layer.pool.stride if self.pool else self.layer.stride

    @property
    def kernel(self) -> tuple[int, int]:
        """Rows and columns of a window."""
        return self.layer.pool.size if self.pool else self.layer.kernel

    @property
    def whole(self) -> bool:
        """Whether all pixels become one."""
        return self.layer.average and not self.pool


def graph_steps(graph: IntegerGraph) -> tuple[Step, ...]:
    """List the layers of a graph and their pools; a map before a pool has a name of its own."""
    steps = []
    for layer in graph.layers:
        source, target = graph.source_of(layer), layer.name
        if layer.pool is None:
            steps.append(Step(layer=layer, source=source, target=target))
        else:
            between = f"{target} before its pool"
            steps.append(Step(layer=layer, source=source, target=between))
            steps.append(Step(layer=layer, source=between, target=target, pool=True))
    return tuple(steps)


def is_dense(step: Step, shape: tuple[int, int, int]) -> bool:
    """Whether each weight counts once, for a target of `shape`: tables would not pay."""
    alone = step.layer.groups == 1 and step.residual is None and not step.whole
    return alone and not step.pool and shape[:2] == (1, 1)


def lane_columns(step: Step, shape: tuple[int, int, int]) -> int:
    """Columns of the input that a row of outputs needs, of a target of `shape`."""
    return (shape[1] - 1) * step.stride[1] + step.kernel[1]


def suits_lanes(step: Step, shape: tuple[int, int, int]) -> bool:
    """Whether a step is depthwise, and lanes can compute it for a target of `shape`."""
    rows, columns = step.kernel
    fits = rows <= MOST_ROWS and columns == CHAIN and lane_columns(step, shape) <= 256
    return not step.pool and step.layer.groups > 1 and fits


def slots_of(entry: WordMap) -> int:
    """Pixels that share a word."""
    return 1 if entry.width == LOGIT_WIDTH else table_slots(pack=entry.pack, channels=entry.group)
