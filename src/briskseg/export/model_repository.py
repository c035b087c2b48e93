"""An ONNX file of ours in the folder that Triton or OpenVINO Model Server loads models from.

    DIR/NAME/1/model.onnx     as `export --to onnx` writes it: plain images in, so no other program
                              need stand before it
    DIR/NAME/config.pbtxt     Triton's (model_config.proto)
    DIR/config.json           OpenVINO Model Server's

Both servers speak the protocol of `briskseg serve`, and name the tensors as it does.
"""

from __future__ import annotations

import json
from pathlib import Path

from briskseg.core.errors import RequestError, WeightsError
from briskseg.core.files.atomic import write_whole, writing
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


def write_triton(done: Export) -> None:
    """Write config.pbtxt beside the folder of the version."""
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
    _write(folder / "config.pbtxt", text)


def write_ovms(done: Export) -> None:
    """Write config.json at the top of the folder, or add the model to the one that is there."""
    folder = done.file.parents[1]
    config = {"name": folder.name, "base_path": folder.name}
    # Else it computes in bfloat16 where the processor does, and labels are others.
    entry = {"config": {**config, "plugin_config": {"INFERENCE_PRECISION_HINT": "f32"}}}
    whole = read_ovms(done.out)
    others = [each for each in whole["model_config_list"] if _name(each) != folder.name]
    whole["model_config_list"] = [*others, entry]
    _write(done.out / _OVMS, json.dumps(whole, indent=2) + "\n")


def _name(entry: object) -> object:
    """What an entry of config.json calls its model."""
    config = entry.get("config") if isinstance(entry, dict) else None
    return config.get("name") if isinstance(config, dict) else None


def read_ovms(out: Path) -> dict[str, list[object]]:
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


def _write(path: Path, text: str) -> None:
    with writing(path, WeightsError):
        write_whole(path, text)
