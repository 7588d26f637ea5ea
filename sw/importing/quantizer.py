"""What each width makes of a network: its integers, chosen layer by layer."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from downshift.hw.precision_switch import precision_switch
from downshift.sw.graph.integer_graph import INPUT, Layer, Setting
from downshift.sw.graph.integer_setting import Codes, integer_setting, residual_shift_of
from downshift.sw.graph.layer_golden import accumulate, batches, finish_layer
from downshift.sw.importing.ranges import Range, observed_codes
from downshift.sw.importing.real_layer import (
    REACHED,
    RealLayer,
    RealNetwork,
    run_network,
)
from downshift.sw.importing.weight_codes import reaches_of, stored_layer, top_codes

__all__ = ["TOP", "Calibration", "Quantizer", "WidthRun"]


TOP = 8
"""Bits of weights that are quantized here, and of the input."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """What quantization goes by."""

    images: np.ndarray
    """(n, height, width, channels): inputs like those that will come."""
    method: Range = Range.MSE
    correct_bias: bool = True
    """Let biases take up what rounding moves the mean of each channel by."""


@dataclass(kw_only=True, eq=False)
class WidthRun:
    """A network at one width, and what it gives on the calibration images."""

    means: int | Mapping[str, int]
    settings: dict[str, Setting] = field(default_factory=dict)
    codes: dict[str, Codes] = field(default_factory=dict)
    maps: dict[str, np.ndarray] = field(default_factory=dict)
    """By layer: codes, and of the last one logits; empty without a calibration."""
    logit_scale: float = 1.0

    def bits(self, layer: RealLayer) -> int:
        """Width of a layer."""
        return self.means if isinstance(self.means, int) else self.means.get(layer.name, TOP)


class Quantizer:
    """Chooses the integers of a network, at one width after the other.

    Parameters
    ----------
    network : RealNetwork
    calibration : Calibration or None
        None where the file says everything.
    multiplier_width : int
        Bits of the multipliers that rescale sums, 16 or 24.
    """

    def __init__(
        self, network: RealNetwork, calibration: Calibration | None, *, multiplier_width: int = 16
    ):
        self.network, self.calibration = network, calibration
        self.multiplier_width = multiplier_width
        self.entering = network.input_codes or _input_codes(network, calibration)
        last = network.layers[-1]
        self.shapes = {INPUT: network.input_shape, **{x.name: x.shape for x in network.layers}}
        self.references, self.images = None, None
        if calibration is not None:
            self.references = run_network(network, calibration.images)
            real = calibration.images * network.input_gain + network.input_offset
            whole = np.rint(real / self.entering.scale) + self.entering.zero_point
            most = (1 << self.entering.width) - 1
            self.images = np.clip(whole, 0, most).astype(np.uint8)
        reach = reaches_of(network, self.entering, self.references)
        self.layers = [stored_layer(layer, layer is last, reach) for layer in network.layers]
        self.completing = {x.completed_by.name for x in network.layers if x.completed_by}
        self.bare = [
            layer.integer_layer(top_codes(layer.stored))
            for layer in self.layers
            if layer.stored is not None
        ]

    def run(
        self, width: int, means: int | Mapping[str, int], *, like: WidthRun | None = None
    ) -> WidthRun:
        """Choose the integers of a width.

        Parameters
        ----------
        width : int
            Names it in errors.
        means : int or mapping of str to int
            Bits of all layers, or of each by its name.
        like : WidthRun, optional
            One that is the same up to the first layer of other bits: so far it is copied.

        Raises
        ------
        DownshiftError
            If numbers are out of range.
        """
        run = WidthRun(means=means, codes={INPUT: self.entering})
        if self.images is not None:
            run.maps[INPUT] = self.images
        same = like is not None
        for layer, bare in zip(self.layers, self.bare, strict=True):
            same = same and like is not None and like.bits(layer) == run.bits(layer)
            if same and like is not None:
                for own, other in (
                    (run.settings, like.settings), (run.codes, like.codes), (run.maps, like.maps)
                ):  # fmt: skip
                    if layer.name in other:
                        own[layer.name] = other[layer.name]
                run.logit_scale = like.logit_scale
            else:
                self._add(run, layer, bare, f"Layer {layer.name} at width {width}")
        return run

    def _add(self, run: WidthRun, layer: RealLayer, bare: Layer, where: str) -> None:
        """Choose the numbers of the next layer, and run it."""
        stored, entering = layer.stored, run.codes[layer.source]
        assert stored is not None
        weight_width = stored.width if layer.pinned else min(stored.width, run.bits(layer))
        height, columns, _ = self.shapes[layer.source]
        pixels = height * columns if layer.average else 1
        step = stored.scale * (1 << (stored.width - weight_width)) * entering.scale / pixels
        offset, sums, acc = layer.bias, None, None
        if self.references is not None and self.calibration is not None:
            acc = _accumulated(bare, run.maps[layer.source], weight_width, entering.zero_point)
            sums = self._sums(run, layer, bare, acc, step, weight_width, pixels)
            if self.calibration.correct_bias and not self._is_given(run, layer):
                moved = (self.references[layer.name] - sums).mean(axis=(0, 1, 2))
                offset = offset + moved
                sums += moved
        out = None if layer is self.layers[-1] else self._out(run, layer, sums)
        named = out
        if layer.thresholds is not None:
            # Sums from this one on reach theirs: there they are 1 or more, and as codes all ones.
            places = (layer.thresholds.places - offset) / step
            first = np.where(layer.thresholds.strict, np.floor(places) + 1, np.ceil(places))
            step, offset = np.ones_like(step), 1 - first
            named = Codes(scale=1 / REACHED, width=REACHED.bit_length())
        added = None if layer.residual is None else run.codes[layer.residual]
        if added is not None and added == out and layer.name in self.completing:
            # A part of a whole whose other parts pass as they are: they have to count whole
            # numbers, or each layer of the chain would change them a little.
            unit = (1 << residual_shift_of(weight_width, entering.width)) * added.scale
            step = unit / np.maximum(np.rint(unit / step), 1)
        setting = integer_setting(
            bare,
            where=where,
            weight_width=weight_width,
            step=step,
            offset=offset,
            entering=entering,
            out=named,
            added=added,
            added_gain=layer.residual_gains,
            pixels=pixels,
            multiplier_width=self.multiplier_width,
            remedy="quantize it with scales nearer to each other",
        )
        run.settings[layer.name] = setting
        if out is None:
            run.logit_scale = float(step[0])
        else:
            run.codes[layer.name] = out
        if acc is not None:
            residual = None if layer.residual is None else run.maps[layer.residual]
            run.maps[layer.name] = finish_layer(bare, setting, acc, residual)

    def _is_given(self, run: WidthRun, layer: RealLayer) -> bool:
        """Whether the file says it all, at the layer's width."""
        given, bits = layer.given_codes, run.bits(layer)
        assert layer.stored is not None
        if layer.stored.width > bits or (given is not None and given.width > bits):
            return False
        return given is not None or layer is self.layers[-1]

    def _out(self, run: WidthRun, layer: RealLayer, sums: np.ndarray | None) -> Codes:
        """Codes of a layer's map."""
        given, bits = layer.given_codes, TOP if layer.wide else run.bits(layer)
        if given is not None and given.width <= bits:
            return given
        assert sums is not None and self.references is not None and self.calibration is not None
        target = layer
        # What the file has not quantized takes part in bias correction, before it is clipped.
        while target.like is not None and target.limits == target.like.limits:
            target, sums = target.like, self.references[target.like.name]
        return observed_codes(
            sums, low=target.low, high=target.high, width=bits, method=self.calibration.method
        )

    def _sums(
        self,
        run: WidthRun,
        layer: RealLayer,
        bare: Layer,
        acc: np.ndarray,
        step: np.ndarray,
        weight_width: int,
        pixels: int,
    ) -> np.ndarray:
        """Real sums of a layer as its integers give them."""
        entering = run.codes[layer.source]
        running = precision_switch(bare.weight, width=weight_width).astype(np.int64)
        zeros = entering.zero_point * pixels * running.sum(axis=(1, 2, 3))
        sums = (acc - zeros) * step + layer.bias
        if layer.residual is not None:
            codes = run.codes[layer.residual]
            residual = run.maps[layer.residual].astype(np.float32) - codes.zero_point
            sums = sums + residual * (codes.scale * layer.residual_gains)
        return sums.astype(np.float32)


def _accumulated(layer: Layer, x: np.ndarray, weight_width: int, zero_point: int) -> np.ndarray:
    """Sums of a layer's products, int32, a batch at a time."""
    return np.concatenate([
        accumulate(layer, x[part], weight_width=weight_width, zero_point=zero_point)
        for part in batches(layer, len(x), x.shape[1:])
    ])  # fmt: skip


def _input_codes(network: RealNetwork, calibration: Calibration | None) -> Codes:
    """Codes for the input: pixels are their own, other numbers reach as far as they were seen."""
    assert calibration is not None
    images = calibration.images
    if images.dtype == np.uint8:
        scale = network.input_gain
        zero = -network.input_offset / scale
        return Codes(scale=scale, width=TOP, zero_point=int(np.clip(round(zero), 0, 255)))
    real = images * network.input_gain + network.input_offset
    return observed_codes(real, low=-np.inf, high=np.inf, width=TOP, method=Range.MIN_MAX)
