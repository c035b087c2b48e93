"""An ONNX file of ours in the folder that Triton or OpenVINO Model Server loads models from.

    DIR/NAME/1/model.onnx     as `export --to onnx` writes it: plain images in, so no other program
                              need stand before it
    DIR/NAME/config.pbtxt     Triton's (model_config.proto)
    DIR/config.json           OpenVINO Model Server's

Both servers speak the protocol of `briskseg serve`, and name the tensors as it does.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from briskseg.core.errors import RequestError
from briskseg.core.files.atomic import write_whole
from briskseg.core.files.limits import MAX_LIST_BYTES, check_size, parse_json
from briskseg.export import Export

_OVMS = "config.json"
_PBTXT = """# {summary}
name: {name}
backend: "onnxruntime"
# The tensors have their batch dimension in dims: images of one size, and any number of them.
max_batch_size: 0
input [
  {{ name: "images" data_type: TYPE_UINT8 dims: [ -1, {size}, 3 ] }}
]
output [
  {{ name: "labels" data_type: TYPE_UINT8 dims: [ -1, {size} ] }},
  {{ name: "logits" data_type: TYPE_FP32 dims: [ -1, {classes}, -1, -1 ] }}
]
"""


def pack_triton(out: Path) -> Callable[[Export, bytes], None]:
    """What writes the ONNX file, and config.pbtxt beside the folder of its version."""
    return _write_triton


def _write_triton(done: Export, model: bytes) -> None:
    folder = done.file.parents[1]
    height, width = done.exported.size or (-1, -1)
    network = done.card.network
    text = _PBTXT.format(
        summary=f"{network.name}, {network.classes} classes; images are RGB, of any size"
        if done.exported.size is None
        else f"{network.name}, {network.classes} classes; images are RGB, of {height}x{width}",
        name=json.dumps(folder.name),  # as protobuf's text format quotes strings
        size=f"{height}, {width}",
        classes=network.classes,
    )
    write_whole(done.file, model)
    write_whole(folder / "config.pbtxt", text)


def pack_ovms(out: Path) -> Callable[[Export, bytes], None]:
    """What writes the ONNX file, and config.json at the top of the folder, with the models of the
    one that is there. Raises RequestError as `_read_ovms`."""
    whole = _read_ovms(out)

    def write(done: Export, model: bytes) -> None:
        name = done.file.parents[1].name
        # Else it computes in bfloat16 where the processor does, and labels are others.
        plugin = {"INFERENCE_PRECISION_HINT": "f32"}
        entry = {"config": {"name": name, "base_path": name, "plugin_config": plugin}}
        others = [each for each in whole["model_config_list"] if _name(each) != name]
        write_whole(done.file, model)
        text = json.dumps({**whole, "model_config_list": [*others, entry]}, indent=2)
        write_whole(out / _OVMS, text + "\n")

    return write


def _name(entry: object) -> object:
    """What an entry of config.json calls its model."""
    config = entry.get("config") if isinstance(entry, dict) else None
    return config.get("name") if isinstance(config, dict) else None


def _read_ovms(out: Path) -> dict[str, list[object]]:
    """What config.json in a folder lists, or nothing where there is none. Raises RequestError for a
    file that is something else."""
    file = out / _OVMS
    if not file.exists():
        return {"model_config_list": []}
    try:
        check_size(file, MAX_LIST_BYTES, RequestError)
        whole = parse_json(file.read_bytes())
    except ValueError:
        whole = None
    if isinstance(whole, dict) and isinstance(whole.get("model_config_list"), list):
        return whole
    raise RequestError(
        f"{file} is no configuration of OpenVINO Model Server's, expected a JSON object with "
        "model_config_list; name another folder"
    )
