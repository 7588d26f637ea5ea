"""Graph files that say what does not fit together."""

import json

import pytest
from tiny_graph import joined, refused, split


def with_metadata(saved, change):
    header, body = split(saved)
    metadata = json.loads(header["__metadata__"]["downshift"])
    change(metadata)
    header["__metadata__"]["downshift"] = json.dumps(metadata)
    return joined(header, body)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda m: m.update(schema_version=1),
            (
                "schema version 1 is unknown, this program reads 3 to 6; "
                "export the model again or update downshift"
            ),
        ),
        (lambda m: m.pop("name"), "model: entry 'name' is missing"),
        (lambda m: m.update(code="x"), "model: entry 'code' is unknown"),
        (
            lambda m: m["layers"][2].update(stride=[0, 1]),
            "layer 'fc': stride must be 2 integers in 1..65536, not [0, 1]",
        ),
        (
            lambda m: m["layers"][0].update(shape=[1 << 16, 1 << 16, 1 << 16, 1 << 16]),
            (
                "layer 'conv': tensor 'conv.weight' must be int8 of shape "
                "(65536, 65536, 65536, 65536), not int8 of shape (4, 1, 3, 3)"
            ),
        ),
        (
            lambda m: m["layers"][0]["settings"].pop("4"),
            "tensor 'conv.bias.w4' belongs to no layer",
        ),
        (
            lambda m: m["layers"][0]["settings"]["4"].update(in_width=9),
            "Layer conv at width 4: weights and input must have 1 to 8 bits, not 4 and 9",
        ),
        (
            lambda m: m["layers"][0]["settings"]["4"].update(zero_point_out=-1),
            "layer 'conv' at width 4: zero_point_out must be in 0..255, not -1",
        ),
        (
            lambda m: m["layers"][1].update(groups=True),
            "layer 'depth': groups must be in 1..65536, not True",
        ),
        (
            lambda m: m["layers"][1].update(groups=2),
            (
                "Layer depth: groups must be 1 or the channels of input and output, "
                "not 2 with 2 and 4 channels"
            ),
        ),
        (
            lambda m: m["layers"][1].update(average=0),
            "layer 'depth': average must be true or false, not 0",
        ),
        (
            lambda m: m["layers"][1].update(source="a\nb"),
            "layer 'depth': source must be printable text, not 'a\\nb'",
        ),
        (
            lambda m: m["layers"][1].update(source="fc"),
            (
                "Layer depth takes the map 'fc', which no layer before it gives; "
                "name 'input' or an earlier layer"
            ),
        ),
        (
            lambda m: m["layers"][1].update(residual=["conv"]),
            "layer 'depth': residual must be printable text, not ['conv']",
        ),
        (
            lambda m: m["layers"][1].update(residual=None),
            "tensor 'depth.residual_multiplier.w2' belongs to no layer",
        ),
        (
            lambda m: m["layers"][0].update(residual="input"),
            "layer 'conv' at width 2: tensor 'conv.residual_multiplier.w2' is missing",
        ),
        (lambda m: m["layers"][2].pop("average"), "layer 2: entry 'average' is missing"),
        (
            lambda m: m["layers"][1]["settings"]["4"].update(residual_shift=7),
            "Layer depth at width 4: residual shift must be in 0..6, not 7",
        ),
        (
            lambda m: m["layers"][2]["settings"]["4"].update(residual_shift=1),
            (
                "Layer fc at width 4: residual multipliers and shift are for a layer with a "
                "residual; give it one, or leave them out"
            ),
        ),
        (
            lambda m: m["layers"][0]["settings"].update({"9": {}}),
            "layer 'conv': a width must be 1 to 8 bits, not '9'",
        ),
        (
            lambda m: m.update(input_scale=float("nan")),
            "input_scale must be a positive number, not nan",
        ),
        (lambda m: m.update(logit_scales=[]), "logit_scales must map widths to numbers, not be []"),
        (
            lambda m: m["logit_scales"].update({"8": 1}),
            "a logit scale must be a positive number, not 1",
        ),
        (
            lambda m: m["logit_scales"].pop("8"),
            "Logits have scales at widths [2, 4], the network runs at [2, 4, 8]",
        ),
        (lambda m: m.update(name="a\nb"), "model: name must be printable text, not 'a\\nb'"),
        (lambda m: m.update(name="b"), "the checksum does not match, so the file is damaged"),
    ],
)
def test_metadata_that_does_not_fit(tmp_path, saved, change, message):
    assert refused(tmp_path, with_metadata(saved, change)) == message


def with_header(saved, change):
    header, body = split(saved)
    change(header)
    return joined(header, body)


DAMAGED = "tensor 'fc.weight' does not fit into the file, which is damaged"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda h: h.pop("__metadata__"),
            "no Downshift model, since the metadata entry 'downshift' is missing",
        ),
        (lambda h: h["fc.weight"].update(shape=[1 << 62] * 4), DAMAGED),
        (lambda h: h["fc.weight"].update(data_offsets=[0, 1 << 60]), DAMAGED),
        (
            lambda h: h["fc.weight"].update(dtype="F32"),
            "tensor 'fc.weight' has type 'F32', which no model has",
        ),
        (
            lambda h: h["fc.weight"].update(shape=[4, 3, 2, 2]),
            (
                "layer 'fc': tensor 'fc.weight' must be int8 of shape (3, 4, 2, 2), "
                "not int8 of shape (4, 3, 2, 2)"
            ),
        ),
        (
            lambda h: h["fc.weight"].update(dtype="U8"),
            (
                "layer 'fc': tensor 'fc.weight' must be int8 of shape (3, 4, 2, 2), "
                "not uint8 of shape (3, 4, 2, 2)"
            ),
        ),
        (
            lambda h: h.update({"fc.other": h.pop("fc.weight")}),
            "layer 'fc': tensor 'fc.weight' is missing",
        ),
        (
            lambda h: h["fc.weight"].update(data_offsets=h["conv.weight"]["data_offsets"]),
            DAMAGED,
        ),
        (
            lambda h: h["fc.bias.w8"].update(data_offsets=h["fc.bias.w4"]["data_offsets"]),
            "tensors overlap or leave gaps, so the file is damaged",
        ),
        (
            lambda h: h.update(empty={"dtype": "I8", "shape": [0], "data_offsets": [0, 0]}),
            "tensor 'empty' is described wrongly, so the file is damaged",
        ),
    ],
)
def test_header_that_does_not_fit(tmp_path, saved, change, message):
    assert refused(tmp_path, with_header(saved, change)) == message


def test_names_given_twice(tmp_path, saved):
    header, body = split(saved)
    text = json.dumps(header).encode()
    twice = text[:-1] + b', "fc.weight": ' + json.dumps(header["fc.weight"]).encode() + b"}"
    assert refused(tmp_path, joined(twice, body)) == "the header gives 'fc.weight' twice"


def test_data_left_over(tmp_path, saved):
    assert "bytes of data instead of" in refused(tmp_path, saved + b"\0")


def test_nesting_without_end(tmp_path):
    assert "is not JSON" in refused(tmp_path, joined(b"[" * 200_000, b""))
