"""Who may import whom: the rules of docs/architecture.md, read off the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from briskseg.models import MODELS

SOURCE = Path(__file__).parents[1] / "src" / "briskseg"

ALLOWED = {
    "command": {"cli"},
    "core": set(),
    "recipe": {"core"},
    "models": {"core"},
    "data": {"core"},
    "hub": {"core", "data", "recipe", "runs"},
    "runtime": {"core"},
    "evaluation": {"core", "data", "runtime"},
    "training": {"core", "data", "evaluation", "models", "recipe", "runs", "runtime"},
    "export": {"core", "data", "evaluation", "models", "runtime"},
    "benchmark": {"core", "data", "evaluation", "export", "runtime"},
    "serving": {"core", "runtime"},
    "runs": {"core", "recipe"},
    "scale": {"core", "runtime"},
    "cli": {
        "benchmark",
        "core",
        "data",
        "evaluation",
        "export",
        "hub",
        "models",
        "recipe",
        "runs",
        "runtime",
        "serving",
        "scale",
        "training",
    },
}
# A file that may import more than its folder.
MORE = {
    "runtime/backends/torch_backend.py": {"models"},
    "runtime/model_files.py": {"hub"},
    "benchmark/layers.py": {"models"},
    "benchmark/untrained.py": {"models"},
}

# Packages that only these files and folders may import at all.
HEAVY = {
    "torch": {
        "models",
        "training",
        "runtime/backends/torch_backend.py",
        "training/samples/gpu_augment.py",
        "benchmark/layers.py",
        "training/samples/loader.py",
        "training/samples/gpu_cache.py",
        "export/deployed.py",
        "export/keras_file.py",
        "export/keras_operations.py",
        "export/keras_reader.py",
        "export/coreml_file.py",
        "export/fixed_size.py",
        "export/litert_file.py",
        "export/ncnn_file.py",
        "export/onnx_file.py",
    },
    "onnx": {"export/onnx_file.py"},
    "onnxscript": {"export/onnx_file.py"},
    "onnxruntime": {"runtime/backends/onnx_backend.py", "benchmark/roofline.py"},
    "openvino": {"runtime/backends/openvino_backend.py", "export/openvino_file.py"},
    "nncf": {"export/openvino_int8.py"},
    "ai_edge_quantizer": {"export/litert_int8.py"},
    "litert_torch": {"export/litert_file.py"},
    "ai_edge_litert": {"runtime/backends/litert_backend.py", "export/litert_metadata.py"},
    "flatbuffers": {"export/litert_metadata.py"},
    "huggingface_hub": {"hub/client.py"},
    "ncnn": {"runtime/backends/ncnn_backend.py"},
    "pnnx": {"export/ncnn_file.py"},
    "coremltools": {"export/coreml_file.py"},
    "keras": {"export/keras_file.py"},
    "h5py": {"export/keras_reader.py"},
    "matplotlib": {"core/plots.py"},
    "starlette": {"serving"},
    "uvicorn": {"serving"},
    "anyio": {"serving/frames.py"},
    "prometheus_client": {"serving/metrics.py"},
    "python_multipart": {"serving/bodies.py"},
    "pyarrow": {"scale/parquet_files.py"},
    "fsspec": {"scale/storage.py"},
    "ray": {"scale/ray_tasks.py"},
    "tkinter": {"runtime/video/window.py"},
    "tensorboard": {"runs/compare/tensorboard_.py", "training/loggers.py"},
}

FILES = sorted(SOURCE.rglob("*.py"))


def imports(path: Path) -> list[tuple[str, bool]]:
    """(module, is it at the top level of the file) of every import, `if TYPE_CHECKING` left out."""
    tree = ast.parse(path.read_text("utf-8"))
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    found = []
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, node in tree.body) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found.append((node.module or "", node in tree.body))
    return found


def room_of(path: Path) -> str:
    relative = path.relative_to(SOURCE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_keep_the_rules(path: Path) -> None:
    relative = path.relative_to(SOURCE).as_posix()
    room = room_of(path)
    if room == "__init__":  # the public names, imported lazily
        return
    for module, _ in imports(path):
        package, _, rest = module.partition(".")
        if package == "briskseg" and rest:
            other = rest.split(".")[0]
            allowed = ALLOWED[room] | MORE.get(relative, set()) | {room}
            assert other in allowed, f"{relative} imports {module}; {room} may import {allowed}"
        elif package in HEAVY:
            homes = HEAVY[package]
            assert room in homes or relative in homes, f"{relative} imports {package}"


def test_no_network_imports_another() -> None:
    networks = {entry.network.split(":")[0] for entry in MODELS.values()}
    for name in networks:
        for module, _ in imports(SOURCE / "models" / f"{name}.py"):
            assert module.removeprefix("briskseg.models.") not in networks - {name}


def test_verbs_import_nothing_heavy_at_the_top() -> None:
    light = {"core", "cli"}
    for path in sorted((SOURCE / "cli").glob("*.py")):
        for module, at_top in imports(path):
            package, _, rest = module.partition(".")
            if at_top and package == "briskseg" and rest:
                assert rest.split(".")[0] in light, f"{path.name} imports {module} at its top"


@pytest.mark.parametrize(
    ("code", "unloaded"),
    [
        ("import briskseg", ("torch", "matplotlib", "numpy", "cv2", "PIL", "pydantic")),
        # every verb, as `briskseg --help` does
        (
            "from briskseg.cli import _register; _register()",
            ("torch", "matplotlib", "numpy", "cv2", "PIL"),
        ),
        ("import briskseg.data", ("torch", "matplotlib")),
        ("import briskseg.recipe", ("torch", "matplotlib")),
    ],
)
def test_importing_loads_nothing_heavy(code: str, unloaded: tuple[str, ...]) -> None:
    code = f"{code}; import sys; print([m for m in {unloaded} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
