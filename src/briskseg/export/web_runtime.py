"""ONNX Runtime Web, which runs the network inside the page: where its files lie, and fetching them.

They are not kept with the source: npm fetches them when the package is built (`setup.py`), or with

    python -m briskseg.export.web_runtime

The standard library alone, and nothing else of ours: `setup.py` loads this file before anything is
installed.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
# Of each kind of page, the module and the WebAssembly that it loads. WebGPU's needs no GPU.
RUNTIMES = {
    "web": ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"),
    "webgpu": ("ort.webgpu.bundle.min.mjs", "ort-wasm-simd-threaded.asyncify.wasm"),
}
SHA256 = {
    "ort.wasm.bundle.min.mjs": "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    "ort-wasm-simd-threaded.wasm": (
        "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2"
    ),
    "ort.webgpu.bundle.min.mjs": "0730816731ce2cdfb06f273da065d4a1c7091eb9d1756a83b2916c8a89d015e2",
    "ort-wasm-simd-threaded.asyncify.wasm": (
        "39f9f0894d478800487ed9f7dbe92618498db320cf55c8e3d89adff8dce658da"
    ),
}
FOLDER = Path(__file__).parent / "web" / "runtime"
COMMAND = "python -m briskseg.export.web_runtime"

_PATIENCE = 120  # s that npm may take
_LARGEST = 64 * 1024 * 1024  # bytes of a file; a longer one is another


def fault() -> str:
    """What is wrong with the files in FOLDER, in a few words; "" where all is there."""
    for name, expected in SHA256.items():
        file = FOLDER / name
        if not file.is_file():
            return f"{file} is not there"
        if hashlib.sha256(file.read_bytes()).hexdigest() != expected:
            return f"{file} is another file than that of {PACKAGE} {VERSION}"
    return ""


def fetch() -> str:
    """Let npm fetch the package, and put its files in FOLDER where each is what SHA256 says.

    Nothing of the package is executed. Returns what went wrong as a sentence, "" where all went
    well or the files were there already.
    """
    if not fault():
        return ""
    npm = shutil.which("npm")
    if npm is None:
        return f"npm, which fetches {PACKAGE} {VERSION}, was not found; install Node.js"
    with tempfile.TemporaryDirectory() as folder:
        words = [npm, "pack", f"{PACKAGE}@{VERSION}", "--ignore-scripts", "--silent"]
        try:
            done = subprocess.run(
                words, cwd=folder, capture_output=True, text=True, timeout=_PATIENCE
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"npm could not be run: {error}"
        packed = [*Path(folder).glob("*.tgz")]
        if done.returncode or len(packed) != 1:
            said = (done.stderr or done.stdout).strip().splitlines()
            return f"npm could not fetch {PACKAGE} {VERSION}: {said[-1] if said else 'no reason'}"
        try:
            return _unpack(packed[0])
        except (OSError, tarfile.TarError, KeyError) as error:
            return f"{PACKAGE} {VERSION} could not be unpacked to {FOLDER}: {error}"


def _unpack(packed: Path) -> str:
    contents = {}
    with tarfile.open(packed) as archive:
        for name, expected in SHA256.items():
            member = archive.extractfile(f"package/dist/{name}")
            contents[name] = member.read(_LARGEST) if member else b""
            if hashlib.sha256(contents[name]).hexdigest() != expected:
                return f"{name} of {PACKAGE} {VERSION} is not the file that was expected"
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        part = FOLDER / f".{name}"
        part.write_bytes(content)
        part.replace(FOLDER / name)
    return ""


if __name__ == "__main__":
    if wrong := fetch():
        sys.exit(wrong)
    print(f"{FOLDER} holds {PACKAGE} {VERSION}")
