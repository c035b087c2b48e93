"""Real time, end to end: uint8 image (H, W, 3) in, uint8 label map out, on two threads.

    python benchmarks/realtime.py [MODEL ...] [--only CASE] [--rounds N] [--threads N]

Ours against the stock paths in the same run, in turns: torch eager (float32, NCHW, argmax), and the
file that `torch.onnx.export` makes of the same network in ONNX Runtime, with numpy before it and
numpy's argmax behind. Ours is every file, backend and precision at hand, each through `Predictor`.

MODEL: trained weights or run folders of ours; a case takes the first of its network, and files
exported from it that lie beside it (`briskseg export --int8` makes those in int8). Without one the
weights are random up to the last layer, which is fitted to drawn streets, so that label maps are of
large pieces as a trained network's are. "noise" decodes random logits, where every cell is at a
border: the worst there is for a decoder.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from briskseg import create_model
from briskseg.benchmark.candidates import File, available_backends, find_candidates
from briskseg.benchmark.worker import open_predictor
from briskseg.core.card import Card, InputCard, LabelsCard, NetworkCard, save_weights
from briskseg.core.images import resize_image
from briskseg.core.telemetry import no_telemetry
from briskseg.data.synthetic import draw_scene
from briskseg.export import export
from briskseg.runtime.backends.torch_backend import TorchBackend
from briskseg.runtime.model_files import find_files, find_weights
from briskseg.runtime.predictor import Predictor

with no_telemetry():
    import onnxruntime

# network, size, classes where there are no trained weights, and what is aimed at
CASES = {
    "erfnet-512x1024": ("erfnet", (512, 1024), 19, "8 x eager, 3 x ONNX Runtime, 50 ms"),
    "erfnet-360x480": ("erfnet", (360, 480), 11, "33 ms, better 25 ms"),
    "fast_scnn-1024x2048": ("fast_scnn", (1024, 2048), 19, "8 x eager, 3 x ONNX Runtime, 28 ms"),
    "fast_scnn-512x1024": ("fast_scnn", (512, 1024), 19, "16 ms, better 8 ms"),
}
FITTED_ON, FITTED_HW = range(1, 7), (256, 512)

Way = Callable[[np.ndarray], np.ndarray]


def street_like(network: str, classes: int, path: Path) -> None:
    """Weights whose last layer tells apart, as well as random features allow, what is drawn."""
    torch.manual_seed(0)
    net = create_model(network, classes)
    scenes = [draw_scene(seed, FITTED_HW) for seed in FITTED_ON]
    images = torch.stack([torch.from_numpy(image).permute(2, 0, 1) for image, _ in scenes]) / 255
    inside = {}
    last = net.decoder.output_conv if network == "erfnet" else net.classifier[-1]
    last.register_forward_pre_hook(lambda _, inputs: inside.update(features=inputs[0]))
    with torch.no_grad():
        for norm in (m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)):
            norm.momentum = None  # statistics are those of what it sees
        net.train()
        net(images)
        net.eval()
        net(images)
        features = inside["features"]
        cells = features.shape[2:]
        x = features.permute(0, 2, 3, 1).flatten(0, 2)
        labels = np.stack([cv2.resize(y, cells[::-1], interpolation=0) for _, y in scenes])
        seen = torch.from_numpy(labels.reshape(-1).astype(np.int64))
        x, seen = x[seen < classes], seen[seen < classes]
        wanted = torch.nn.functional.one_hot(seen, classes).float()
        x = torch.cat([x, torch.ones(len(x), 1)], 1).double()
        ridge = x.T @ x + 1e-3 * len(x) * torch.eye(x.shape[1], dtype=torch.double)
        fitted = torch.linalg.solve(ridge, x.T @ wanted.double()).float()
        weight = fitted[:-1] if network == "erfnet" else fitted[:-1].T
        last.weight.copy_(weight[..., None, None].expand_as(last.weight))
        last.bias.copy_(fitted[-1])
    save(net, network, classes, path)


def save(net: torch.nn.Module, network: str, classes: int, path: Path) -> None:
    names = tuple(f"class {index}" for index in range(classes))
    colors = tuple((index, 255 - index, 9 * index) for index in range(classes))
    card = Card(
        network=NetworkCard(name=network, classes=classes, options=net.options),
        labels=LabelsCard(names=names, colors=colors),
        input=InputCard(),
    )
    save_weights(path, {name: t.numpy() for name, t in net.state_dict().items()}, card)


def eager(net: torch.nn.Module, expects: InputCard) -> Way:
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (expects.mean, expects.std))

    @torch.no_grad()
    def labels(image: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(image).permute(2, 0, 1)[None].contiguous().float() / 255
        return net((x - mean) / std).argmax(1)[0].to(torch.uint8).numpy()

    return labels


def stock_onnx(net: torch.nn.Module, expects: InputCard, size_hw, threads: int, path: Path) -> Way:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (torch.zeros(1, 3, *size_hw),), path, input_names=["images"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    mean, std = (np.array(v, np.float32) for v in (expects.mean, expects.std))

    def labels(image: np.ndarray) -> np.ndarray:
        x = ((image.astype(np.float32) / 255 - mean) / std).transpose(2, 0, 1)[None]
        logits = session.run(None, {"images": np.ascontiguousarray(x)})[0]
        return logits[0].argmax(0).astype(np.uint8)

    return labels


class Ours:
    """A predictor that notes how long decoding took."""

    def __init__(self, candidate) -> None:
        self.predictor = open_predictor(
            candidate.path, candidate.backend, candidate.threads, candidate.size_hw
        )
        self.predictor.on_stage_end = self._lap
        self.decode: list[float] = []
        self._last = 0.0

    def _lap(self, stage: str) -> None:
        now = time.perf_counter()
        if stage == "decode":
            self.decode.append(1e3 * (now - self._last))
        self._last = now

    def __call__(self, image: np.ndarray) -> np.ndarray:
        return self.predictor(image)


def files_of(models: list[Path], network: str, classes: int, folder: Path) -> tuple[str, list]:
    """The files of the case's network: trained ones, or street-like ones; float32 exported too."""
    what, weights = "random weights, last layer fitted to streets", folder / "model.safetensors"
    files = []
    for model in models:
        found = find_files(model)
        if File(found[-1]).card.network.name == network:
            what, weights, files = str(model), find_weights(model), found
            break
    else:
        street_like(network, classes, weights)
        files = [weights]
    files = [File(path) for path in files if path != weights]
    there = {file.path.suffix for file in files if file.precision == "float32"}
    for to, suffix in (("onnx", ".onnx"), ("openvino", ".xml")):
        if suffix not in there:
            export(weights, to, folder / f"{to}{suffix}")
            files.append(File(folder / f"{to}{suffix}"))
    return what, [*files, File(weights)]


def our_ways(files: list, size_hw, threads: int) -> dict[str, Ours]:
    """Each file on the backend that it was made for."""
    backends = [name for name in available_backends("all") if name != "torch"]
    ways = {}
    for one in find_candidates("ours", files[:-1], backends, [threads], [size_hw]):
        if one.path.suffix == ".onnx" and one.backend != "onnx":
            continue
        ways[f"ours, {one.backend} {one.precision}"] = Ours(one)
    return ways


def take_turns(ways: dict[str, Way], image: np.ndarray, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each way, the median of a few frames a round."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            way(image)  # the caches are another's
            each = []
            while len(each) < 3 or (sum(each) < 300 and len(each) < 20):
                start = time.perf_counter()
                way(image)
                each.append(1e3 * (time.perf_counter() - start))
            if turn:  # the first round warms up
                times[name].append(statistics.median(each))
    return times


def border_share(labels: np.ndarray) -> float:
    """Of blocks of 8x8 pixels, those that hold more than one class."""
    height, width = (side // 8 * 8 for side in labels.shape)
    blocks = labels[:height, :width].reshape(height // 8, 8, width // 8, 8)
    return float((blocks.max((1, 3)) != blocks.min((1, 3))).mean())


def run_case(name: str, models: list[Path], rounds: int, threads: int, folder: Path) -> None:
    network, size_hw, classes, aim = CASES[name]
    what, files = files_of(models, network, classes, folder)
    backend, card = TorchBackend.open(files[-1].path, threads, "cpu")
    net = backend.network.to(memory_format=torch.contiguous_format)
    image = np.ascontiguousarray(resize_image(draw_scene(0, (512, 1024))[0], size_hw))
    ours = our_ways(files, size_hw, threads)
    ways: dict[str, Way] = {
        "torch eager": eager(net, card.input),
        "stock ONNX Runtime": stock_onnx(net, card.input, size_hw, threads, folder / "stock.onnx"),
        **ours,
    }
    expected = ways["torch eager"](image)
    print(f"\n{name}, {card.network.classes} classes, {threads} threads; aim: {aim}")
    print(f"  {what}; {border_share(expected):.0%} of 8x8 blocks at borders")
    print(f"  {'':30}     ms   eager   stock   decode   same labels")
    times = take_turns(ways, image, rounds)
    for way, each in times.items():
        against = [
            statistics.median(b / a for a, b in zip(each, times[stock], strict=True))
            for stock in ("torch eager", "stock ONNX Runtime")
        ]
        decode = f"{statistics.median(ours[way].decode):6.2f}" if way in ours else "     -"
        same = (ways[way](image) == expected).mean()
        print(
            f"  {way:30} {statistics.median(each):6.1f}  {against[0]:5.2f}x  {against[1]:5.2f}x  "
            f"{decode}   {same:8.2%}"
        )
    print_noise(next(iter(ours.values())).predictor, size_hw, rounds)


def print_noise(predictor: Predictor, size_hw, rounds: int) -> None:
    """Decoding noise of the logits' shape: nearly every cell is a border."""
    image = np.zeros((*size_hw, 3), np.uint8)
    coarse = predictor.backend.run(image, at_own_size=False)
    logits = np.random.default_rng(0).standard_normal(coarse.shape, np.float32)
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        labels = predictor.backend.enlargement.labels(logits, size_hw, size_hw)
        times.append(1e3 * (time.perf_counter() - start))
    name = f"noise, decode of {'x'.join(map(str, logits.shape))}"
    borders = f"{border_share(labels):.0%} of blocks at borders"
    print(f"  {name:30} {statistics.median(times):6.1f}   {borders}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--only", choices=CASES)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(arguments.threads)
    for name in [arguments.only] if arguments.only else CASES:
        with tempfile.TemporaryDirectory() as folder:
            run_case(name, arguments.models, arguments.rounds, arguments.threads, Path(folder))


if __name__ == "__main__":
    main()
