"""The integer graph: a trained network as integers only, at every width it runs at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from downshift.hw.errors import DownshiftError
from downshift.sw.graph.fixed_point import multiplier_width
from downshift.sw.graph.layer import INPUT, LOGIT_WIDTH, Layer, Pool, Setting
from downshift.sw.graph.layer_checks import check_layer, check_setting

__all__ = ["INPUT", "LOGIT_WIDTH", "IntegerGraph", "Layer", "Pool", "Setting"]


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerGraph:
    """Layers and the maps between them: int8 weights once, and what each width needs beside them.

    Every layer gives the map of its name; "input" is the map that enters. A layer reads the map
    before it or any earlier one, and may add another to its sums.

    Parameters
    ----------
    name : str
    input_shape : (height, width, channels)
    input_scale : float
        Real value of one input code, used to quantize inputs before they enter.
    input_offset : float
        Real value of input code 0. What is given need not be what the network was trained with:
        a normalization of it may be part of how it becomes codes.
    layers : tuple of Layer
        In order; the last one gives logits.
    logit_scales : mapping of int to float
        Real value of one in the logits, by width; empty if nobody knows.
    provenance : mapping of str to str
        Where the graph came from; informative.

    Raises
    ------
    DownshiftError
        If the parts do not fit together; the message names the layer.
    """

    name: str
    input_shape: tuple[int, int, int]
    input_scale: float
    layers: tuple[Layer, ...]
    input_offset: float = 0.0
    logit_scales: Mapping[int, float] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self):
        if not self.layers:
            raise DownshiftError(f"Network {self.name} has no layers")
        if not (np.isfinite(self.input_scale) and self.input_scale > 0):
            raise DownshiftError(f"Input scale must be positive, not {self.input_scale!r}")
        if not np.isfinite(self.input_offset):
            raise DownshiftError(f"Input offset must be finite, not {self.input_offset!r}")
        self._check_names()
        shapes = {INPUT: self.input_shape}
        for layer in self.layers:
            shapes[layer.name] = check_layer(layer, shapes, self.source_of(layer))
            if set(layer.settings) != set(self.widths):
                raise DownshiftError(
                    f"Layer {layer.name} has widths {sorted(layer.settings)}, "
                    f"the first layer {sorted(self.widths)}"
                )
        if self.logit_scales and set(self.logit_scales) != set(self.widths):
            raise DownshiftError(
                f"Logits have scales at widths {sorted(self.logit_scales)}, the network runs at "
                f"{sorted(self.widths)}"
            )
        for width, scale in self.logit_scales.items():
            if not (np.isfinite(scale) and scale > 0):
                raise DownshiftError(
                    f"Scale of the logits at width {width} must be positive, not {scale!r}"
                )
        for layer in self.layers:
            for width, setting in layer.settings.items():
                check_setting(layer, width, setting, last=layer is self.layers[-1])
        self._check_maps()

    def _check_names(self) -> None:
        """Raise `DownshiftError` unless layers have names of their own and read earlier maps."""
        names = [layer.name for layer in self.layers]
        if len(set(names)) != len(names):
            raise DownshiftError(f"Layer names must differ, not {names!r}")
        if INPUT in names:
            raise DownshiftError(
                f"Layer {INPUT} has the name of the map that enters; give it another"
            )
        known = {INPUT}
        for layer in self.layers:
            for taken in (layer.source, layer.residual):
                if taken is not None and taken not in known:
                    raise DownshiftError(
                        f"Layer {layer.name} takes the map {taken!r}, which no layer before it "
                        f"gives; name {INPUT!r} or an earlier layer"
                    )
            known.add(layer.name)

    def _check_maps(self) -> None:
        """Raise `DownshiftError` unless every map is used, as what it is."""
        last = self.layers[-1]
        if last.residual is not None:
            raise DownshiftError(f"Layer {last.name} gives logits, which take no residual")
        used = {self.source_of(layer) for layer in self.layers}
        used |= {layer.residual for layer in self.layers}
        for layer in self.layers[:-1]:
            if layer.name not in used:
                raise DownshiftError(
                    f"Layer {layer.name} gives a map that no layer takes; leave it out"
                )
        for layer in self.layers:
            source = self.source_of(layer)
            for width, setting in layer.settings.items():
                given = self.codes_of(source, width)
                taken = (setting.in_width, setting.zero_point_in)
                if given != taken:
                    raise DownshiftError(
                        f"Layer {layer.name} at width {width} takes codes of (width, zero point) "
                        f"{taken}, the map {source} has {given}"
                    )

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths the network runs at, highest first."""
        return tuple(sorted(self.layers[0].settings, reverse=True))

    @cached_property
    def _by_name(self) -> dict[str, Layer]:
        return {layer.name: layer for layer in self.layers}

    @cached_property
    def _sources(self) -> dict[str, str]:
        before = (INPUT, *(layer.name for layer in self.layers))
        return {
            layer.name: name if layer.source is None else layer.source
            for name, layer in zip(before, self.layers, strict=False)
        }

    @cached_property
    def _shapes(self) -> dict[str, tuple[int, int, int]]:
        shapes = {INPUT: self.input_shape}
        for layer in self.layers:
            shapes[layer.name] = layer.out_shape(shapes[self.source_of(layer)])
        return shapes

    @property
    def shapes(self) -> tuple[tuple[int, int, int], ...]:
        """(height, width, channels) of the input and of every layer's output."""
        return tuple(self._shapes.values())

    def shape_of(self, name: str) -> tuple[int, int, int]:
        """(height, width, channels) of a map."""
        self._check_map(name)
        return self._shapes[name]

    def codes_of(self, name: str, width: int) -> tuple[int, int]:
        """Bits of a map's codes and their zero point, at a width of the network."""
        self._check_map(name)
        self.check_width(width)
        if name == INPUT:
            first = self.layers[0].settings[width]
            return first.in_width, first.zero_point_in
        setting = self._by_name[name].settings[width]
        return setting.out_width, setting.zero_point_out

    def source_of(self, layer: Layer) -> str:
        """Name of the map that enters a layer."""
        return self._sources[layer.name]

    def consumers(self, name: str) -> tuple[Layer, ...]:
        """Layers that a map enters or is added to, in order."""
        self._check_map(name)
        return tuple(
            layer for layer in self.layers if name in (self.source_of(layer), layer.residual)
        )

    @property
    def input_bits(self) -> int:
        """Bits of the codes that enter, at the width that takes the fewest."""
        return min(setting.in_width for setting in self.layers[0].settings.values())

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image."""
        return sum(layer.macs(self.shape_of(self.source_of(layer))) for layer in self.layers)

    @property
    def weight_bytes(self) -> int:
        """Bytes of the stored weights."""
        return sum(layer.weight.size for layer in self.layers)

    @property
    def multiplier_width(self) -> int:
        """Bits of the widest multiplier, 16 or 24."""
        settings = (setting for layer in self.layers for setting in layer.settings.values())
        return max(multiplier_width(setting.multiplier) or 0 for setting in settings)

    def check_width(self, width: int) -> None:
        """Raise `DownshiftError` unless the network runs at `width`."""
        if width not in self.widths:
            have = ", ".join(map(str, self.widths))
            raise DownshiftError(f"Network {self.name} runs at widths {have}, not {width!r}")

    def _check_map(self, name: str) -> None:
        if name != INPUT and name not in self._by_name:
            raise DownshiftError(f"Network {self.name} has no map {name!r}")
