"""The faults that `seeded_faults` seeds: what is replaced by what, and which tests must notice."""

SWITCH = "tests/hw/test_precision_switch.py"
SWITCH_BLOCK = f"{SWITCH}::test_block_equals_golden_on_every_code"
REQUANTIZE = "tests/hw/test_requantize.py"
REQUANTIZE_BLOCK = f"{REQUANTIZE}::test_block_equals_golden"
BRICK = "tests/hw/test_brick.py::test_equals_golden_at_every_pair_of_widths"
WINDOW = "tests/hw/test_window.py"
SUMS = "tests/hw/test_partial_sums.py"
CHECKSUM = "tests/hw/test_checksum.py"
POOL = "tests/hw/test_max_pool.py"
LOADER = "tests/hw/test_weight_loader.py"
STORE = "tests/hw/test_store.py"
OUTPUT_PATH = "tests/hw/test_output_path.py"
SERIALIZER = "tests/hw/test_output_path.py::test_serializer_starts_at_the_parameters_of_its_layer"
SEQUENCER = "tests/hw/test_sequencer.py"
GOLDEN = "tests/sim/test_golden.py"
LAYER = "tests/sw/test_layer_golden.py"
GRAPH = "tests/sw/test_integer_graph.py"
QUANTIZERS = "tests/sw/test_quantizers.py"
FREEZE = "tests/sw/test_freeze.py::test_frozen_is_golden_on_random_networks"
FREEZE_SWITCH = "tests/sw/test_freeze.py::test_double_rounding_equals_the_precision_switch"
LOWERING = "tests/sw/test_lowering.py"
COMPILER = "tests/sw/test_compiler.py"
IMAGE = "tests/sw/test_image.py"
DRIVER = "tests/sw/test_driver.py"
NOISE = "tests/sim/test_link.py"
PREPARE = "tests/sw/test_prepare.py"
TRAINING = "tests/sw/test_training.py"
BATCHES = "tests/sw/test_batches.py"
DISTILLATION = "tests/sw/test_distillation.py"
RESUMES = f"{TRAINING}::test_a_run_that_resumes_ends_with_the_same_numbers"
PROCESSES = f"{TRAINING}::test_two_processes_learn_the_same_network"
SEARCH = "tests/sw/test_search.py"
SENSITIVITY = "tests/sw/test_sensitivity.py"
RECONSTRUCTS = "tests/sw/test_reconstruction.py"
FACTORS = "tests/hw/test_factors.py"
SMALL_DOTS = "tests/hw/test_small_dots.py"
DSP_PAIRS = "tests/hw/test_dsp_array.py::test_equals_golden_at_every_pair_of_widths"
DSP_LARGEST = "tests/hw/test_dsp_array.py::test_largest_sums"
TABLE = "tests/hw/test_table.py"
TABLE_PAIRS = f"{TABLE}::test_equals_golden_at_every_pair_of_widths"
RESCALE = "tests/hw/test_rescale.py"
ALIGNED = "tests/hw/test_tile_loader.py::test_switch_equals_golden"
SLOTS = "tests/hw/test_slot_sums.py"
LANES = "tests/hw/test_lanes.py"
GROUPS = "tests/hw/test_code_groups.py"
WRITER = "tests/hw/test_word_writer.py"
RESIDUAL = "tests/hw/test_residual.py"
RAM = "tests/hw/test_block_ram.py::test_words_come_some_cycles_later"
PASSES = "tests/hw/test_pass_queue.py"
OPERATORS = "tests/sw/test_onnx_operators.py"
WIDE_NETWORKS = "tests/sim/test_table_networks.py::test_wider_multipliers"
TABLE_NETWORKS = "tests/sim/test_table_networks.py"
AXI = "tests/sim/test_axi_core.py"
AXI_LITE = "tests/hw/test_axi_lite.py"
C_HOST = "tests/sw/test_c_host.py"
SPI = "tests/sim/test_spi.py"
SPI_BYTES = "tests/hw/test_spi.py"
FRAME = "tests/hw/test_frame.py"
AHEAD = "tests/sw/test_run_ahead.py"
SCRUB = "tests/sim/test_scrubbing.py"
CASCADE = "tests/sim/test_cascade.py"
MARGIN = "tests/hw/test_logit_margin.py"
BRICK_NETWORKS = "tests/sim/test_random_networks.py"
FROZEN_CODE = "sw/quantization/freeze.py"
ROUNDING_CODE = "sw/quantization/double_rounding.py"
LOWERING_CODE = "sw/quantization/lowering.py"
SETTING_CODE = "sw/graph/integer_setting.py"
LAYER_CODE = "sw/graph/layer_golden.py"
COMPILER_CODE = "sw/compile/compiler.py"
PASSES_CODE = "sw/compile/layer_passes.py"
ALL_LAYERS = "tests/sw/test_all_layers.py"
RESIDUAL_SUM = "tests/hw/test_residual_sum.py"

# Per fault and place: file, text, replacement, tests.
SUBSTITUTIONS = {
    "half up instead of half to even": [
        ("hw/rounding.py", " & (floor & 1 == 1)", "", SWITCH),
        ("hw/precision_switch.py", "(last_kept & ~centred)", "1", SWITCH_BLOCK),
        ("hw/requantize.py", "narrow[0] & (rest | floor[0])", "narrow[0]", REQUANTIZE_BLOCK),
        (FROZEN_CODE, " - (tie & (rounded & 1 == 1)).long()", "", FREEZE_SWITCH),
        (ROUNDING_CODE, "stored_width)).round_()", "stored_width)).add_(0.5).floor_()",
         QUANTIZERS),
        (SETTING_CODE, "np.rint(offset / step)", "np.floor(offset / step + 0.5)", LOWERING),
    ],
    "sticky bit ignored": [
        ("hw/rounding.py", "(rest > half) | ", "", SWITCH),
        ("hw/requantize.py", "(rest | floor[0])", "floor[0]", REQUANTIZE_BLOCK),
        ("hw/requantize.py", "coarse_rest | _any_below(coarse", "_any_below(coarse", REQUANTIZE),
        ("hw/requantize.py", "(coarse_rest | _any_below(coarse, ones, step=1))", "(coarse_rest)",
         REQUANTIZE),
        (FROZEN_CODE, "(raised & ((one << shift) - 1) == 0) & (shift > 0)", "shift > 0",
         FREEZE_SWITCH),
    ],
    "upper clip bound off by one": [
        ("hw/precision_switch.py", "np.clip(rounded, -top, top - 1)", "np.clip(rounded, -top, top)",
         SWITCH),
        ("hw/precision_switch.py", "positive & rounded[-1]", "positive & 0", SWITCH_BLOCK),
        ("hw/requantize.py", "(1 << width) - 1 if", "(1 << width) - 2 if", REQUANTIZE),
        ("hw/requantize.py", "over.eq(beyond >= 0)", "over.eq(beyond >= 1)", REQUANTIZE_BLOCK),
        ("hw/requantize.py", "moved > self.out_max", "moved >= self.out_max - 1",
         REQUANTIZE_BLOCK),
        (FROZEN_CODE, "clamp(-top, top - 1)", "clamp(-top, top)", FREEZE_SWITCH),
        (FROZEN_CODE, "clamp(0, setting.out_max)", "clamp(0, setting.out_max - 1)", FREEZE),
        (ROUNDING_CODE, "round_().clamp_(low, high)\n\n\ndef _stored",
         "round_().clamp_(low, high + 1)\n\n\ndef _stored", QUANTIZERS),
        (PASSES_CODE, "else setting.out_max,", "else setting.out_max - 1,", COMPILER),
    ],
    "centred weights off their middle": [
        ("hw/precision_switch.py", "np.where(codes == 0, 0, codes >> stored_width - width | 1)",
         "(codes >> stored_width - width | 1)", SWITCH),
        ("hw/precision_switch.py", "odd.eq(centred & stored.any())", "odd.eq(centred)",
         SWITCH_BLOCK),
        ("hw/precision_switch.py", "(last_kept & ~centred)", "last_kept", SWITCH_BLOCK),
        ("hw/switch_part.py", "halves.any() & ~blank[0]", "halves.any()", ALIGNED),
        ("hw/switch_part.py", "self.i[index][4:].any()", "0", ALIGNED),
        ("hw/aligned_switch.py", "drop.eq(Mux(centred, 0, drop))", "drop.eq(drop)", ALIGNED),
        ("hw/aligned_switch.py", "Mux(centred, 0, (1 << drop) - 1 >> 1)", "(1 << drop) - 1 >> 1",
         ALIGNED),
        (PASSES_CODE, "switch_code(setting.weight_width, centred=setting.centred)",
         "switch_code(setting.weight_width)", BRICK_NETWORKS),
        ("sw/compile/table_passes.py",
         "switch_code(setting.weight_width, centred=setting.centred)",
         "switch_code(setting.weight_width)", f"{TABLE_NETWORKS}::test_rtl_equals_golden"),
        (FROZEN_CODE, "torch.where(stored == 0, 0, middles)", "middles", FREEZE_SWITCH),
        (ROUNDING_CODE, ".mul_(anything)", "", QUANTIZERS),
        (ROUNDING_CODE, "return -top, top\n", "return -top, top - 1\n", QUANTIZERS),
        (LOWERING_CODE, "centred=quantizer.is_centred", "centred=False", LOWERING),
        (SETTING_CODE, "width=weight_width, centred=centred)", "width=weight_width)", LOWERING),
        (LAYER_CODE, "width=weight_width, centred=centred)", "width=weight_width)", GOLDEN),
    ],
    "lower clip bound off by one": [
        ("hw/precision_switch.py", "np.clip(rounded, -top,", "np.clip(rounded, 1 - top,", SWITCH),
        ("hw/requantize.py", "np.clip(rounded, 0,",
         "np.clip(rounded, 1,", REQUANTIZE),
        ("hw/requantize.py", "Mux(moved < 0, 0,", "Mux(moved < 1, 1,", REQUANTIZE_BLOCK),
        (FROZEN_CODE, "codes.clamp(0,", "codes.clamp(1,", FREEZE),
        (ROUNDING_CODE, "round_().clamp_(low, high)\n\n\ndef _stored",
         "round_().clamp_(low + 1, high)\n\n\ndef _stored", QUANTIZERS),
    ],
    "sign bit dropped": [
        ("hw/precision_switch.py", "shift_half_even(codes,", "shift_half_even(codes & 0xFF,",
         SWITCH),
        ("hw/precision_switch.py", "stored = self.i.p[k]", "stored = self.i.p[k].as_unsigned()",
         SWITCH_BLOCK),
        ("hw/tile.py", " ^ (2 << (self.top_digit << 1))", "", BRICK),
        ("hw/brick.py", "row.offset.eq(-(total.o << 1))", "row.offset.eq(0)", BRICK),
        ("hw/mac.py", "weights.T.astype(kind)", "(weights.T.astype(np.uint8)).astype(kind)",
         GOLDEN),
        ("hw/requantize.py", "(np.asarray(acc, np.int64) + bias)",
         "((np.asarray(acc, np.int64) + bias) & 0xFFFFFFFF)", REQUANTIZE),
        ("hw/biased_product.py", "Mux(biased[32], multiplier, 0)", "0", REQUANTIZE_BLOCK),
        (FROZEN_CODE, "stored.long(), drop", "stored.long() & 0xFF, drop", FREEZE_SWITCH),
    ],
    "shift off by one": [
        ("hw/precision_switch.py", "rounded = shift_half_even(codes, stored_width - width)",
         "rounded = shift_half_even(codes, stored_width - width + 1)", SWITCH),
        ("hw/precision_switch.py", "clipped >> drop", "clipped >> drop + 1", SWITCH_BLOCK),
        ("hw/requantize.py", "np.int64), 58))", "np.int64), 58) + 1)", REQUANTIZE),
        ("hw/requantize.py", "by_16 >> 8,", "by_16 >> 7,", REQUANTIZE_BLOCK),
        ("hw/requantize.py", "by_2 >> 1,", "by_2,", REQUANTIZE_BLOCK),
        ("hw/requantize.py", "first=17", "first=18", REQUANTIZE_BLOCK),
        ("hw/requantize.py", "first=10", "first=11", REQUANTIZE_BLOCK),
        (FROZEN_CODE, "drop = torch.tensor(8 - width)", "drop = torch.tensor(9 - width)",
         FREEZE_SWITCH),
        (FROZEN_CODE, 'get_buffer(f"shift_{width}"))', 'get_buffer(f"shift_{width}") + 1)',
         FREEZE),
        (ROUNDING_CODE, "stored.mul_(2.0 ** (width - stored_width)).round_()",
         "stored.mul_(2.0 ** (width - stored_width - 1)).round_()", QUANTIZERS),
        (ROUNDING_CODE, "detach() * 2.0 ** (self.stored_width - self.running_width)",
         "detach() * 2.0 ** (self.stored_width - self.running_width + 1)", LOWERING),
    ],
    "numbers of another width": [
        (COMPILER_CODE, "parameter_bases[width][index]",
         "parameter_bases[graph.widths[0]][index]", COMPILER),
        (COMPILER_CODE, "layer_passes(layer, width, places", "layer_passes(layer, 8, places",
         COMPILER),
        (COMPILER_CODE, "program[width] = len(program)",
         "program[graph.widths[0]] = program[width] = len(program)", COMPILER),
        (LOWERING_CODE, "            set_widths(model, means)",
         "            set_widths(model, source.widths[0])", LOWERING),
        ("sim/golden.py", "layer.settings[width]", "layer.settings[graph.widths[0]]", GOLDEN),
        (FROZEN_CODE, 'get_buffer(f"bias_{width}")',
         'get_buffer(f"bias_{max(self.layer.settings)}")', FREEZE),
        ("hw/channel_serializer.py", "tile_base.eq(self.layer.parameter_base)", "tile_base.eq(0)",
         SERIALIZER),
        ("hw/sequencer.py", "self.read.address.eq(self.profile)",
         "self.read.address.eq(self.profile ^ 1)", SEQUENCER),
    ],
    "pooling keeps another code than the largest": [
        ("hw/max_pool.py", ".max(axis=(-2, -1))", "[..., 0, 0]", POOL),
        ("hw/max_pool.py", "(pixel != 0) & (so_far > code)", "pixel != 0", POOL),
        (FROZEN_CODE, "F.max_pool2d(codes.double()", "-F.max_pool2d(-codes.double()", FREEZE),
    ],
    "padding with 0 instead of the zero point": [
        ("hw/window.py", "constant_values=zero_point", "constant_values=0", WINDOW),
        ("hw/window.py", "Mux(read.inside[lane], self.read.data[lane], layer.pad)",
         "Mux(read.inside[lane], self.read.data[lane], 0)", WINDOW),
        (FROZEN_CODE, "value=setting.zero_point_in", "value=0", FREEZE),
        (PASSES_CODE, "setting.zero_point_in << k", "0 << k", COMPILER),
    ],
    "what is on its way not waited for": [
        ("hw/partial_sums.py", "on_its_way |= valid & (held.pixel == next_pixel)", "pass", SUMS),
        ("hw/partial_sums.py", "known.eq(~on_its_way)", "known.eq(1)", SUMS),
        ("hw/tile.py", "(in_use ^ self.swap) << 2", "in_use << 2", BRICK),
        ("hw/checksum.py", "self.i.ready.eq(left == 0)", "self.i.ready.eq(1)", CHECKSUM),
        ("hw/store.py", "m.d.sync += held.eq(read.data)", "m.d.comb += held.eq(read.data)", STORE),
        ("hw/store.py", "m.d.sync += [held.eq(banks), held_turn.eq(turn)]",
         "m.d.sync += held.eq(banks); m.d.comb += held_turn.eq(turn)", STORE),
        ("hw/window.py", "m.d.sync += held.eq(read)", "m.d.comb += held.eq(read)", WINDOW),
        ("hw/weight_loader.py", "Mux(read.blank[index], 0, word)", "word", LOADER),
    ],
    "commands that do too much or too little": [
        ("hw/streamed_executor.py", "with m.If(body & ~over):", "with m.If(0):", AXI),
        ("hw/axi_core.py", "kept & ~strobe | fresh", "fresh", AXI),
        ("hw/axi_core.py", "sync.rst.eq(~self.aresetn | reset)", "sync.rst.eq(~self.aresetn)", AXI),
        ("hw/axi_lite.py", "self.read.eq(asked & ~self.rvalid)", "self.read.eq(asked)",
         AXI_LITE),
        ("hw/axi_lite.py", "have_address & have_data & ~self.bvalid", "have_address & have_data",
         AXI_LITE),
        ("hw/axi_lite.py", "self.wready.eq(~have_data)", "self.wready.eq(1)", AXI_LITE),
        ("hw/executor.py", "self._beyond.eq(self._address == last)", "self._beyond.eq(0)", AXI),
        ("hw/spi.py", "is_byte.eq(self.i.valid)", "is_byte.eq(0)", SPI_BYTES),
        ("hw/spi.py", "((left != 8) | ~is_byte)", "~is_byte", SPI_BYTES),
        ("hw/spi.py", "((left != 8) | ~is_byte)", "(left != 8)", SPI_BYTES),
        ("sw/device/c/downshift.c", "    host->tag++;\n", "", SPI),
        ("sw/device/c/downshift.c", "status == 0 && host->content[2] != BAD_FRAME &&",
         "status == 0 &&", C_HOST),
        ("sw/device/c/downshift.c", "host->content[0] == host->tag\n", "1\n", C_HOST),
    ],
    "a flipped bit overlooked": [
        ("hw/section_reader.py", "with m.If(byte == last):", "with m.If(byte == 3):", SCRUB),
        ("hw/executor.py", "with m.If(check.other_crc):", "with m.If(0):", SCRUB),
        ("hw/executor.py", "self.loaded.bit_select(self._region, 1).eq(0)",
         "self.loaded.eq(self.loaded)", SCRUB),
        ("hw/frame_runner.py", "m.Elif(over_time(self.counters))", "m.Elif(0)", SCRUB),
        ("hw/frame_runner.py", "with m.If(hung):", "with m.If(0):", SCRUB),
    ],
    "a frame run again or not": [
        ("hw/logit_margin.py", "whole & (value > second)", "whole & (value > best)", MARGIN),
        ("hw/logit_margin.py", "margin < self.threshold", "margin <= self.threshold", MARGIN),
        ("hw/frame_runner.py", "Mux(self.raised, second, first)", "first", CASCADE),
        ("hw/frame_runner.py", "self.first_cycles.eq(self.counters.cycles)",
         "self.first_cycles.eq(0)", CASCADE),
        ("sw/device/cascade.py", "if image.maps[second][0] != entering:", "if False:", CASCADE),
    ],
    "another map than the one named": [
        ("sim/golden.py", "maps[graph.source_of(layer)]", "maps[list(maps)[-1]]", GOLDEN),
        ("sim/golden.py", "maps[layer.residual]", "maps[graph.source_of(layer)]", GOLDEN),
        ("sim/golden.py", "else residual[part]", "else residual[: len(x[part])]", GOLDEN),
        (FROZEN_CODE, "frozen(codes[self.graph.source_of(layer)]", "frozen(codes[[*codes][-1]]",
         FREEZE),
    ],
    "sum left unshifted or unadded": [
        ("hw/residual_sum.py", "float(1 << shift)", "1.0", LAYER),
        (LAYER_CODE, "if residual is not None:", "if False:", LAYER),
        (LAYER_CODE, "axis=(1, 2), keepdims", "axis=1, keepdims", LAYER),
        (FROZEN_CODE, "acc * (1 << setting.residual_shift)", "acc", FREEZE),
    ],
    "edge of the map off by one": [
        ("hw/window.py", "self.lanes - lane", "self.lanes - lane + 1", WINDOW),
        ("hw/window.py", "room[:split] > lane", "room[:split] >= lane", WINDOW),
    ],
    "a loop that goes on from elsewhere": [
        ("hw/walk.py", '"row_by": 2, "column_from": Origin.TILE',
         '"row_by": 2, "column_from": Origin.PIXEL', WINDOW),
        ("hw/walk.py", '"row_by": 3, "column_from": Origin.PASS',
         '"row_by": 3, "column_from": Origin.TILE', WINDOW),
        ("hw/walk.py", "counter == 1, last[:bits] == 0", "counter == 1, 0", WINDOW),
    ],
    "guard left out": [
        ("sw/compile/image.py", "            _check_plan(image)\n", "", IMAGE),
        ("sw/compile/image.py", "zlib.crc32(body) != crc", "False", IMAGE),
        ("sw/device/link.py", "command in ONCE and not self.in_step", "False", DRIVER),
        ("sw/device/driver.py", "error.error != LinkError.NO_IMAGE", "True", DRIVER),
        ("hw/residual_sum.py", "if largest >= 1 << 31:", "if False:", LAYER),
        (LAYER_CODE, "max(int(x.max(initial=0)), zero_point)", "int(x.max(initial=0))",
         LAYER),
        ("sw/graph/integer_graph.py", "        self._check_maps()\n", "", GRAPH),
        ("sw/graph/integer_graph.py", "        self._check_names()\n", "", GRAPH),
        (COMPILER_CODE, "if what and not config.all_layers:", "if False:", COMPILER),
        (COMPILER_CODE, "            _check_sums(graph, layer, width, config)\n", "", COMPILER),
        (PASSES_CODE, "    _check_reach(layer, width, source, config)\n", "", COMPILER),
    ],
    "one bit, or fewer stored ones": [
        ("hw/precision_switch.py", "np.where(codes < 0, -1, 1)", "np.where(codes <= 0, -1, 1)",
         SWITCH),
        (FROZEN_CODE, "torch.where(stored < 0, -1, 1)", "torch.where(stored <= 0, -1, 1)",
         FREEZE_SWITCH),
        (ROUNDING_CODE, "torch.where(stored < 0, -1.0, 1.0)", "torch.where(stored <= 0, -1.0, 1.0)",
         QUANTIZERS),
        (LOWERING_CODE, " << (8 - quantizer.stored_width)", "", PREPARE),
        (LOWERING_CODE, "quantizer.width == 1 and", "quantizer.width == 0 and", LOWERING),
        (ROUNDING_CODE, "step = step * self.correction", "step = step / self.correction",
         QUANTIZERS),
        ("sw/compile/table_parameters.py", "scale > last", "scale > 64",
         "tests/sw/test_table_compiler.py"),
    ],
    "training that is not what it says": [
        ("sw/training/distillation.py", " * self.temperature**2", "", DISTILLATION),
        ("sw/training/distillation.py", "(1 - self.share) * hard", "hard",
         DISTILLATION),
        ("sw/training/batches.py", "1_000_003 + index", "1_000_003", BATCHES),
        ("sw/training/batches.py", "columns.flip(1)", "columns", BATCHES),
        ("sw/training/scale_optimizer.py", "int(width): int(count)", "int(width): 1", RESUMES),
        ("sw/training/run.py", "begin = state.epoch", "begin = 0", RESUMES),
        ("sw/training/processes.py", "flat /= self.size", "flat /= 1", PROCESSES),
        ("sw/training/processes.py", "items[self.rank :", "items[0 :",
         f"{BATCHES}::test_processes_share_each_batch"),
        ("sw/training/calibration.py", "norm.momentum = None", "norm.momentum = 0.1",
         "tests/sw/test_calibration.py"),
        ("sw/quantization/widths.py", "before.running if before else None", "None",
         "tests/sw/test_widths.py"),
        ("sw/data/targets.py", "1 - float(error", "float(error", RECONSTRUCTS),
        ("sw/quantization/lowering.py", "_acc_scale(blocks[-1], layers[-1]",
         "_acc_scale(blocks[0], layers[0]", RECONSTRUCTS),
        ("sw/training/run_state.py", "if state.images != digest", "if False",
         f"{TRAINING}::test_runs_are_not_mixed_up"),
        ("sw/training/distillation.py", "return loss(outputs, teacher)",
         "return loss(outputs, outputs)", RECONSTRUCTS),
        ("sw/data/images.py", "order[n:].sort()", "order.sort()", "tests/sw/test_data.py"),
    ],
    "a search that finds something else": [
        ("sw/search/choices.py", "adders[0] if only_added else block.path", "block.path", SEARCH),
        ("sw/search/allocation.py", "<= len(widths) - 1", "<= len(widths)", SEARCH),
        ("sw/search/allocation.py", "cost_of(costs, widths, budget) <= limit for", "True for",
         f"{SEARCH}::test_budgets_are_kept_to_the_last_one"),
        ("sw/search/allocation.py", "if own == enters else []", "", SEARCH),
        ("sw/search/allocation.py", "table[width] += ", "table[width] = ", SEARCH),
        ("sw/search/candidates.py", "        if settle:\n", "        if not settle:\n", SEARCH),
        ("sw/search/traces.py", "/ sizes", "", SENSITIVITY),
        ("sw/search/traces.py", " / math.sqrt(len(values))\n    return {", "\n    return {",
         SENSITIVITY),
        ("sw/search/compiled.py", " if entry.cycles <= limit]", "]", SEARCH),
        ("sw/search/compiled.py", "corrected = _corrected(", "_corrected(", SEARCH),
        ("sw/search/layer_costs.py", "min(count, least[path]", "max(count, least[path]", SEARCH),
        ("sw/search/traces.py", "2 / labels.numel()", "1 / labels.numel()", SENSITIVITY),
        ("sw/search/sensitivity.py", "tilt * bits", "0 * bits", SENSITIVITY),
    ],
    "a beat or a chunk too few or too many": [
        ("hw/channel_serializer.py", "group == groups - 2", "group == groups - 1", OUTPUT_PATH),
        ("hw/code_writer.py", "(rows >> pack) // bytes_at_once - 1",
         "(rows >> pack) // bytes_at_once", OUTPUT_PATH),
        ("hw/code_writer.py", "chunks.eq(rows - 1)", "chunks.eq(rows - 2)", OUTPUT_PATH),
    ],
    "wrong order of digits": [
        ("hw/tile.py", "active.word_select(digit, DIGIT)",
         "active.word_select(digit ^ DIGITS - 1, DIGIT)", BRICK),
        ("hw/tile.py", "code.word_select(loading, DIGIT)",
         "code.word_select(loading ^ DIGITS - 1, DIGIT)", BRICK),
        ("hw/brick.py", "self.acts[lane].word_select(position, 2)",
         "self.acts[lane].word_select(DIGITS - 1 - position, 2)", BRICK),
    ],
    "hard multipliers fed wrong": [
        ("hw/factors.py", "above << self.spacing", "above << (self.spacing - 1)", FACTORS),
        ("hw/factors.py", "word[3].replicate(", "0 * word[3].replicate(", FACTORS),
        ("hw/factors.py", "high_above.eq(Mux(self.pack[1], 0, 8))", "high_above.eq(8)", FACTORS),
        ("hw/factors.py", "Cat(low, low_above, high, high_above, whole).eq(0)", "whole.eq(0)",
         FACTORS),
        ("hw/factors.py", "Mux(self.pack[1], 0, 2 << place)", "2 << place", FACTORS),
        ("hw/small_dots.py", "a[1] & b.any() & (a[0] | ~b.all())", "a[1] & b.any()", SMALL_DOTS),
        ("hw/code_tile.py", "(before[:4].as_signed() << 4) + weight",
         "Cat(weight[:4], before[:4])", DSP_PAIRS),
        ("hw/code_tile.py", "Mux(self.paired, code[1], code)", "code", DSP_PAIRS),
        ("hw/code_tile.py", "Cat(self.step, in_use ^ self.swap)", "Cat(self.step, in_use)",
         DSP_PAIRS),
        ("hw/dsp_array.py", "paired << (spacing - 1) if", "0 if", DSP_PAIRS),
        ("hw/dsp_array.py", "8 + levels if", "7 + levels if", DSP_LARGEST),
        ("hw/dsp_array.py", "Mux(together, vector.lanes.as_value(), 0)", "vector.lanes.as_value()",
         DSP_PAIRS),
        ("hw/dsp_array.py", "m.d.comb += enable.eq(idle | self.o.ready)",
         "m.d.comb += enable.eq(1)", "tests/hw/test_dsp_array.py::test_shapes_and_gaps"),
        ("hw/vector_steps.py", "self.full & (~held | finished)", "self.full & ~held",
         "tests/hw/test_dsp_array.py::test_latency_and_throughput"),
        ("hw/biased_product.py", "Mux(low_done[1], product[15:31], 0)", "product[15:31]",
         REQUANTIZE_BLOCK),
        ("hw/biased_product.py", "with m.If(low_done[0]):", "with m.If(1):", REQUANTIZE_BLOCK),
        ("sim/cycles.py", "max(moved + 1, self.begun + self.service)", "moved + 1",
         BRICK_NETWORKS),
        ("sw/compile/compiler.py", "bits, holder = HALF_RATE_BITS,", "holder =", COMPILER),
        ("hw/array_style.py", "load_gap=CodeTile.load_gap", "load_gap=0", BRICK_NETWORKS),
        ("hw/config.py", "if not described[name]:", "if True:",
         "tests/hw/test_config.py"),
    ],
    "layers that no chain has, run wrong": [
        ("hw/partial_sums.py", "(keep | ~held.dots.tags.last)", "~held.dots.tags.last", SUMS),
        ("hw/partial_sums.py", "begins = held.dots.tags.first & ~resume",
         "begins = held.dots.tags.first", SUMS),
        ("hw/partial_sums.py", "tags.last & tags.end & keep", "tags.end & keep", SUMS),
        ("hw/residual_sum.py", "+ total[RESIDUAL_PLACE - 1]", "", RESIDUAL_SUM),
        ("hw/residual_sum.py", "bias.eq(joined.bias)", "bias.eq(told.bias)", RESIDUAL_SUM),
        ("hw/residual_sum.py", "int(r) >> 6", "int(r) >> 7", RESIDUAL_SUM),
        ("hw/weight_loader.py", "slot + (layer.first_row << 2)", "slot", LOADER),
        ("hw/weight_loader.py", "(grouped & (slot != 0))", "Const(0, 1)", LOADER),
        ("hw/weight_loader.py", "running & layer.repeat &", "Const(0, 1) &", LOADER),
        ("hw/window.py", "layer.column_bytes, self.lanes", "self.lanes, self.lanes", WINDOW),
        (PASSES_CODE, '"resume": int(index > 0)', '"resume": 0', ALL_LAYERS),
        (PASSES_CODE, "(tile * config.rows + row) // per_byte", "tile * config.rows // per_byte",
         BRICK_NETWORKS),
        (PASSES_CODE, "+ tile * config.groups", "", BRICK_NETWORKS),
        (PASSES_CODE, "codes_per_byte(added.width).bit", "codes_per_byte(setting.in_width).bit",
         BRICK_NETWORKS),
        (COMPILER_CODE, "        _check_residual(graph, layer, width)\n", "        pass\n",
         ALL_LAYERS),
        ("sw/compile/memory_plan.py", "tile // codes_per_byte(bits)", "1", ALL_LAYERS),
        ("sw/compile/free_places.py", "takers[-1] if takers", "takers[0] if takers", ALL_LAYERS),
        ("sim/cycles.py", 'and not layer["keep"]', "", BRICK_NETWORKS),
        ("sim/layer_programs.py", "-(-channels // config.rows) * config.groups", "1", ALL_LAYERS),
        ("boards/predict.py", " + config.all_layers) * config", ") * config",
         "tests/boards/test_fit.py"),
    ],
    "tables filled wrong": [
        ("hw/table_part.py", "second[7] ^ (low & ~second[6])", "second[7]", TABLE_PAIRS),
        ("hw/table_segment.py", "stored[7] | (stored[6] & stored[5])", "stored[7]", TABLE_PAIRS),
        ("hw/table_segment.py", " | control.narrow << LOW_OFFSET", "", TABLE_PAIRS),
        ("hw/table_fill.py", "Mux(part[0], 0b1100, 0b0011)", "0b0011", TABLE_PAIRS),
        ("hw/table_fill.py", "Cat(count[1:3], count[0], count[3:])", "count", TABLE_PAIRS),
        ("hw/table_array.py", "~fill.busy & spent", "~fill.busy",
         TABLE_PAIRS),
    ],
    "requests done twice, or not at all": [
        ("hw/executor.py", "self.again & self.command.matches(*ONCE)", "0", NOISE),
        ("hw/command_processor.py", "(self._tag[0] == last_tag) & ~last_failed",
         "(self._tag[0] != last_tag) & ~last_failed", NOISE),
        ("hw/command_processor.py", "(self._tag[0] == last_tag) & ~last_failed",
         "self._tag[0] == last_tag", NOISE),
        ("hw/command_processor.py", "with m.If(~self._damaged):", "with m.If(1):", NOISE),
        ("sw/device/link.py", "return (tag, command) in wanted or", "return True or", DRIVER),
    ],
    "rounding of the table style": [
        ("hw/rescale.py", "half & (rest[1] | fine[:7].any() | floor[0])", "half", RESCALE),
        ("hw/rescale.py", "Mux(inside[3], moved[-1], negative[4])", "moved[-1]", RESCALE),
        ("hw/switch_part.py", "(rounded[bit] ^ beyond)", "rounded[bit]", ALIGNED),
        ("hw/switch_part.py", "carry=last_kept", "carry=~last_kept", ALIGNED),
    ],
    "words and passes mixed up": [
        ("hw/slot_sums.py", "ending & (tags.end | self.keep)", "ending & tags.end", SLOTS),
        ("hw/lane.py", "output.eq(third)", "output.eq(two)", LANES),
        ("hw/dense_walk.py", " & ~(complete | adding[:-1].any())", "", LANES),
        ("hw/dense_walk.py", " & ~(groups.o.p.complete & hold)", "", LANES),
        ("hw/dense_walk.py", " & (queued <= self.few)", "", LANES),
        ("hw/code_groups.py", "words.eq(Mux(of_spare, 0, words + 1))", "words.eq(words + 1)",
         GROUPS),
        ("hw/word_pool.py", "Mux(ends, last_but_one, last_group)", "last_group",
         "tests/hw/test_word_pool.py"),
        ("hw/word_writer.py", "Mux(tile[0], 0b10, 0b01)", "0b01", WRITER),
        ("hw/word_writer.py", "here.all_row > layer.height", "here.all_row >= layer.height",
         WRITER),
        ("hw/residual.py", "second.eq(Cat(tile[0], second))", "second.eq(Cat(0, second))",
         RESIDUAL),
        ("hw/residual.py", 'narrow >> Cat(0, told["spare"])', "narrow", RESIDUAL),
        ("hw/fabric.py", "m.d.sync += data.eq(read.data)", "m.d.comb += data.eq(read.data)",
         RAM),
        ("hw/pass_queue.py", "(~running | self.done)", "~running", PASSES),
    ],
    "cycles counted for the wrong end": [
        ("hw/table_engine.py", "seen.tile_load & coming", "seen.tile_load", TABLE_NETWORKS),
        ("hw/table_engine.py", "(seen.fetch | core.layer.pool)", "seen.fetch", TABLE_NETWORKS),
        ("hw/column_walk.py", "self.use.busy.eq(taken & (due == 0))", "self.use.busy.eq(taken)",
         TABLE_NETWORKS),
        ("hw/vector_steps.py", "self.valid & ~held & self.enable", "self.valid & ~held",
         BRICK_NETWORKS),
    ],
    "numbers lost on the way from or to other tools": [
        ("sw/importing/quantizer.py", "np.floor(places) + 1, np.ceil(places)",
         "np.ceil(places), np.ceil(places)", "tests/sw/test_qonnx_import.py"),
        ("sw/importing/quantizer.py", "offset = offset + moved", "offset = offset - moved",
         "tests/sw/test_import.py"),
        ("sw/importing/product_operators.py", "[small, large] if automatic",
         "[large, small] if automatic", OPERATORS),
        ("sw/importing/axes.py", "if given == 0 and i < len(axes)", "if False", OPERATORS),
        ("sw/importing/arithmetic_operators.py", "offset - gain * mean", "offset", OPERATORS),
        ("sw/importing/onnx_tensors.py", "path.is_relative_to(folder.resolve())", "True",
         "tests/sw/test_onnx_file.py"),
        ("sw/exporting/onnx_export.py", "bias += zero * setting", "bias += 0 * setting",
         "tests/sw/test_onnx_export.py"),
        ("sw/exporting/packed.py", "values >> (width - 1) << width", "values >> width << width",
         "tests/sw/test_packed.py"),
        ("sw/exporting/c_header.py", "rest == one / 2 && (floor & 1)", "rest == one / 2",
         "tests/sw/test_c_header.py"),
    ],
    "requests ahead lost": [
        ("hw/frame.py", "first - after - 1", "first - after", FRAME),
        ("hw/frame.py", "self.o.p.length + CRC_BYTES", "self.o.p.length", FRAME),
        ("hw/frame.py", "came & frames.w_rdy & (frame.error == LinkError.NONE)",
         "came & frames.w_rdy", FRAME),
        ("hw/frame.py", "arrived & ~symbol.end & ~no_room", "arrived & ~symbol.end", FRAME),
        ("sw/device/pipeline.py", "reply[0] != tag or reply[2] != LinkError.NONE",
         "reply[0] != tag", AHEAD),
        ("sw/device/pipeline.py", "self.link.in_step = False", "pass", AHEAD),
        ("sw/device/pipeline.py", "self._waiting <= QUEUE_BYTES", "0 <= QUEUE_BYTES", AHEAD),
        ("sw/device/pipeline.py", "<= QUEUE_FRAMES", "<= 2 * QUEUE_FRAMES", AHEAD),
        ("sw/device/pipeline.py", "reply[0] != tag or", "False or", AHEAD),
        ("sw/device/pipeline.py", "            self.link.shorten()\n", "", AHEAD),
        ("sw/device/run_ahead.py", "not pipeline.fits(frame.requests)", "False", AHEAD),
        ("sw/device/run_ahead.py", "pipeline.lost or", "False or", AHEAD),
        ("sw/device/run_ahead.py", "codes.copy()", "codes", AHEAD),
        ("sw/device/frame_requests.py", "(second, of_second) if told[-1]",
         "(second, of_first) if told[-1]", AHEAD),
        ("sw/device/link.py", "if self._most < MOST_BYTES:", "if False:", AHEAD),
        ("sw/device/link.py", "return (tag, command) in wanted",
         "return any(tag == each for each, _ in wanted)", AHEAD),
    ],
    "multipliers of 24 bits as if they had 16": [
        ("hw/requantize.py", "np.max(shift) > 44", "False",
         "tests/hw/test_requantize.py::test_products_that_floats_would_round"),
        ("hw/rescale.py", "low) << place", "low) << 8", RESCALE),
        ("hw/rescale.py", "product[: least - 1].any()", "product[:11].any()", RESCALE),
        ("hw/parameter_loader.py", "(1 << multiplier_width - 1) - 1", "0x7FFF",
         "tests/hw/test_parameter_loader.py"),
        ("sw/compile/table_parameters.py", "astype(np.int64) << finer", "astype(np.int64)",
         WIDE_NETWORKS),
        ("sw/compile/table_parameters.py", "astype(int) + lift + finer", "astype(int) + lift",
         WIDE_NETWORKS),
        ("sw/graph/fixed_point.py", "np.all(lower == np.floor(lower))", "True", LOWERING),
        ("sw/exporting/c_header.py", "16 if graph.multiplier_width <= 16 else 32", "16",
         "tests/sw/test_c_header.py"),
        ("sim/layer_programs.py", "later.base < entry.end and", "False and",
         "tests/sim/test_table_networks.py::test_maps_that_lose_their_place_are_compared"),
    ],
}  # fmt: skip
