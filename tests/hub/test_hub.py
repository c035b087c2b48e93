"""From a run to a repository and back: what is sent, what is fetched, and what is said."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen
from xml.sax.saxutils import quoteattr

import numpy as np
import pytest
import yaml
from tests.hub.stand_in import TOKEN, Hub, Repo
from tests.serving.processes import serving

import briskseg
from briskseg.core.card import load_weights, read_card, save_weights
from briskseg.core.errors import BriskError, RequestError, WeightsError
from briskseg.core.exported import read_exported
from briskseg.core.images import write_png
from briskseg.data.synthetic import draw_dataset, draw_scene
from briskseg.export import web_runtime
from briskseg.hub.client import Repository, reason
from briskseg.hub.model_card import model_card
from briskseg.recipe import load_recipe
from briskseg.runs.scores import read_scores
from briskseg.runtime.backends import BACKENDS, BackendKind
from briskseg.runtime.model_files import default_name, find_weights
from briskseg.runtime.predictor import Predictor

# The client's own, where it sends files without Xet.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")

SENT = {"model.safetensors", "model.onnx", "recipe.yaml", "scores.json", "curves.png", "README.md"}


@pytest.fixture(scope="module")
def kept() -> dict[str, Repo]:
    """The repository that one test has pushed, for the others to begin with."""
    return {}


@pytest.fixture
def pushed(hub: Hub, run_folder: Path, command: Callable, kept: dict[str, Repo]) -> None:
    if not kept:
        done = command("push", run_folder, "me/streets")
        assert done.status == 0, done.err
        assert "load     hf://me/streets " in done.out
        kept.update(hub.repos)
    repo = kept["me/streets"]
    hub.repos["me/streets"] = Repo(repo.private, dict(repo.commits))


def files(hub: Hub) -> dict[str, bytes]:
    repo = hub.repos["me/streets"]
    return repo.commits[repo.head]


def fetched(hub: Hub) -> set[str]:
    return {path.rpartition("/")[2] for method, path in hub.requests if method == "GET"}


def test_a_run_goes_there_whole_and_in_one_commit(hub: Hub, run_folder: Path, pushed: None) -> None:
    sent = files(hub)
    assert sent.keys() == SENT
    for name in ("model.safetensors", "model.onnx"):
        assert sent[name] == (run_folder / name).read_bytes()
    ours = json.loads((run_folder / "scores.json").read_text())
    assert ours.items() <= json.loads(sent["scores.json"]).items()
    assert sent["curves.png"].startswith(b"\x89PNG")
    assert "private" not in sent["recipe.yaml"].decode()
    assert len(hub.repos["me/streets"].commits) == 2  # the empty one, and this
    assert not hub.repos["me/streets"].private


def test_the_recipe_that_is_sent_is_one(hub: Hub, pushed: None, tmp_path: Path) -> None:
    (tmp_path / "sent.yaml").write_bytes(files(hub)["recipe.yaml"])
    recipe = load_recipe(str(tmp_path / "sent.yaml"))
    assert recipe.data.root is None
    assert recipe.to_yaml() == load_recipe("fast-scnn-camvid11").to_yaml()


def test_the_model_card_is_the_hubs_and_says_what_ours_does(
    hub: Hub, run_folder: Path, pushed: None
) -> None:
    from huggingface_hub import ModelCard

    text = files(hub)["README.md"].decode()
    data = ModelCard(text).data
    assert (data.library_name, data.pipeline_tag) == ("briskseg", "image-segmentation")
    assert data.license == "apache-2.0"
    assert data.datasets == ["camvid"]
    assert {"semantic-segmentation", "fast_scnn"} <= set(data.tags)
    for words in (
        "briskseg predict hf://me/streets photo.jpg",
        'briskseg.load("hf://me/streets")',
        "![Loss and validation scores along the training](curves.png)",
        "360 x 480",
        "CamVid's images are for research use",
        "| 0 | Sky | #808080 | - | - |",
    ):
        assert words in text
    assert data.eval_results is None  # these weights were trained on val too
    assert "Val was trained on too" in text
    assert "43.21" not in text


def test_the_scores_are_in_the_card_and_in_its_index(run_folder: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    card = read_card(run_folder / "model.safetensors")
    training = {"data": "folder", "train_splits": ["train"]}
    card = card.model_copy(update={"training": training, "license": "<b>own</b> | terms"})
    scores = read_scores(run_folder / "scores.json")
    text = model_card(Repository("me", "own"), card, scores, ["model.safetensors"])
    data = hub.ModelCard(text).data
    miou, accuracy = data.eval_results
    assert (miou.metric_type, miou.metric_value, miou.dataset_split) == ("mean_iou", 0.4321, "val")
    assert (accuracy.metric_type, accuracy.metric_value) == ("accuracy", 0.8)
    assert data.datasets is None  # "folder" is the name of no data set
    assert (data.license, data.license_name) == ("other", "see-below")
    front = yaml.safe_load(text.split("---")[1])  # by another reader
    assert front["model-index"][0]["name"] == "own"
    assert "mIoU 43.21 % (95 % interval over images: 40.00 to 46.00)" in text
    assert "| 0 | Sky | #808080 | 25.00 | 50.00 |" in text
    assert "<b>" not in text


@pytest.mark.parametrize("backend", ["auto", "torch", "onnx"])
def test_what_was_pushed_gives_the_same_labels(
    hub: Hub, run_folder: Path, pushed: None, backend: str
) -> None:
    image, _ = draw_scene(3, (90, 120))
    here = briskseg.load(run_folder, "torch" if backend == "auto" else backend)
    hub.requests.clear()
    there = briskseg.load("hf://me/streets", backend)
    np.testing.assert_array_equal(there(image), here(image))
    assert there.card == here.card
    wanted = "model.onnx" if backend == "onnx" else "model.safetensors"
    assert fetched(hub) == {wanted}
    hub.requests.clear()
    briskseg.load("hf://me/streets", backend)
    assert fetched(hub) == set()  # it is in the cache


def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    present = importlib.util.find_spec
    monkeypatch.setattr(
        BackendKind,
        "installed",
        lambda kind: kind.package != "torch" and bool(present(kind.package)),
    )
    assert not BACKENDS["torch"].installed()


def test_without_torch_the_onnx_file_is_taken(
    hub: Hub, pushed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_torch(monkeypatch)
    predictor = briskseg.load("hf://me/streets")
    assert fetched(hub) == {"model.onnx"}
    assert isinstance(predictor, Predictor)


def test_verbs_take_it_as_a_model(
    hub: Hub, pushed: None, small_data: Path, tmp_path: Path, command: Callable
) -> None:
    image = small_data / "images" / "val" / "street0.png"
    done = command("predict", "hf://me/streets", image, "--out", tmp_path / "masks")
    assert done.status == 0, done.err
    data = draw_dataset(tmp_path / "streets", train=1, val=1, size_hw=(48, 64), seed=1)
    done = command("evaluate", "hf://me/streets", "--data", data, "--json", "-")
    assert done.status == 0, done.err
    found = json.loads(done.out)
    assert found["model"] == "hf://me/streets"
    assert found["ran"]["backend"] == "torch"
    # What `export`, and a recipe's `model.weights`, take; an export is written here.
    model = Path("hf://me/streets")
    assert read_card(find_weights(model)).network.name == "fast_scnn"
    assert default_name(model, find_weights(model), ".onnx") == Path("streets.onnx")
    done = command("convert", "hf://me/streets", "--labels", "camvid")
    assert done.status == 2
    assert "is ours already" in done.err


def test_a_revision_stays_what_it_was(
    hub: Hub, run_folder: Path, pushed: None, command: Callable
) -> None:
    first = hub.repos["me/streets"].head
    (run_folder / "model.onnx").unlink()
    card = read_card(run_folder / "model.safetensors")
    predictor = briskseg.load(run_folder, "torch")
    tensors = load_weights(run_folder / "model.safetensors")[0]
    newer = card.model_copy(update={"source": "newer"})
    save_weights(run_folder / "model.safetensors", tensors, newer)
    assert command("push", run_folder, "me/streets").status == 0
    assert briskseg.load("hf://me/streets", "torch").card.source == "newer"
    older = briskseg.load(f"hf://me/streets@{first}", "torch")
    assert older.card == predictor.card
    with pytest.raises(RequestError, match=r"holds no model\.onnx"):  # it was of other weights
        briskseg.load("hf://me/streets", "onnx")
    with pytest.raises(RequestError, match="no revision 'v9'; leave it out for the newest"):
        briskseg.load("hf://me/streets@v9")


def openvino_file(run: Path) -> None:
    """model.xml and model.bin beside the weights, with what `export` would have them say."""
    card, exported = read_exported(run / "model.onnx")
    values = {"card": card.to_json(), "export": exported.model_dump_json()}
    ours = "".join(f"<{name} value={quoteattr(value)}/>" for name, value in values.items())
    text = f"<net><rt_info><briskseg>{ours}</briskseg></rt_info></net>"
    (run / "model.xml").write_text(text)
    (run / "model.bin").write_bytes(bytes(8))


def test_what_an_earlier_push_sent_goes_with_it(
    hub: Hub, run_folder: Path, command: Callable
) -> None:
    openvino_file(run_folder)
    assert command("push", run_folder, "me/streets").status == 0
    assert files(hub).keys() == {*SENT, "model.xml", "model.bin"}
    others = {"notes.md": b"mine", "other.onnx": b"mine"}
    files(hub).update(others)
    for name in ("model.xml", "model.bin", "scores.json"):
        (run_folder / name).unlink()
    assert command("push", run_folder, "me/streets").status == 0
    assert files(hub).keys() == {*SENT, *others} - {"scores.json"}
    files(hub)["model.bin"] = b"a checkpoint that its owner has put there"
    assert command("push", run_folder, "me/streets").status == 0
    assert "model.bin" in files(hub)


def test_no_folder_of_this_machine_is_sent(hub: Hub, run_folder: Path, command: Callable) -> None:
    """As the cure for damaged scores writes them: evaluate --json RUN/scores.json."""
    file = run_folder / "scores.json"
    scores = json.loads(file.read_text())
    ran = {"file": str(run_folder / "model.onnx"), "backend": "onnx"}
    file.write_text(json.dumps({**scores, "model": str(run_folder), "ran": ran}))
    assert command("push", run_folder, "me/streets").status == 0
    assert not any(str(run_folder.parent).encode() in content for content in files(hub).values())
    assert json.loads(files(hub)["scores.json"])["miou"] == scores["miou"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("MIT", "mit"),
        ("MIT.", "mit"),
        ("CC-BY-4.0, see the page", "cc-by-4.0"),
        ("MITRE terms", "other"),
        ("apache-2.0-like", "other"),
        ("cc-by-4.0.1", "other"),
    ],
)
def test_a_licence_is_named_where_the_hub_has_its_name(
    run_folder: Path, text: str, name: str
) -> None:
    hub = pytest.importorskip("huggingface_hub")
    card = read_card(run_folder / "model.safetensors").model_copy(update={"license": text})
    assert hub.ModelCard(model_card(Repository("me", "own"), card, None, [])).data.license == name


def test_a_dry_run_sends_nothing(hub: Hub, run_folder: Path, command: Callable) -> None:
    done = command("push", run_folder, "me/streets", "--dry-run")
    assert done.status == 0
    assert all(name in done.out for name in SENT)
    assert "pipeline_tag: image-segmentation" in done.out
    assert hub.requests == []


def test_private_is_private(hub: Hub, run_folder: Path, command: Callable) -> None:
    assert command("push", run_folder, "me/secret", "--private").status == 0
    assert hub.repos["me/secret"].private
    hub.repos["me/open"] = Repo(False, {"0" * 40: {}})
    done = command("push", run_folder, "me/open", "--private")
    assert done.status == 2
    assert "hf://me/open is there and public; make it private on its page first" in done.err
    assert len(hub.repos["me/open"].commits) == 1


def test_a_token_is_needed_and_never_shown(
    hub: Hub, run_folder: Path, command: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    done = command("push", run_folder, "me/streets")
    assert done.status == 2
    assert "pushing needs a token with the right to write" in done.err
    monkeypatch.setenv("HF_TOKEN", "hf_wrongButSecret")
    done = command("push", run_folder, "me/streets")
    assert done.status in (1, 2)
    assert "hf_wrong" not in done.err + done.out
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.broken = "your header was {}"  # as a proxy's page may say
    for words in (("push", run_folder, "me/streets"), ("predict", "hf://me/streets", "a.png")):
        done = command(*words)
        assert done.status in (1, 2)
        assert done.err.startswith("briskseg: ")
        assert TOKEN not in done.err + done.out


def test_what_the_hub_states_of_a_file_is_checked(hub: Hub, pushed: None) -> None:
    hub.stated = {"etag": hashlib.sha256(b"another").hexdigest()}
    with pytest.raises(WeightsError, match="and the Hub states") as raised:
        briskseg.load("hf://me/streets")
    assert "remove" in str(raised.value)
    hub.stated = {"etag": hashlib.sha1(b"as Git has it").hexdigest()}
    with pytest.raises(WeightsError, match="nothing states the SHA-256 of") as raised:
        briskseg.load("hf://me/streets")
    hub.stated = {"size": str(1 << 40)}
    hub.requests.clear()
    with pytest.raises(WeightsError, match="has 1099511627776 bytes, expected at most"):
        briskseg.load("hf://me/streets")
    assert fetched(hub) == set()


def test_what_was_changed_in_the_cache_is_not_loaded(hub: Hub, pushed: None) -> None:
    file = Path(briskseg.load("hf://me/streets", "torch").ran.file)
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.resolve().write_bytes(data)
    with pytest.raises(WeightsError, match="the Hub states"):
        briskseg.load("hf://me/streets")
    hub.is_gone = True
    with pytest.raises(WeightsError, match="the Hub states"):
        briskseg.load("hf://me/streets")


def test_without_a_connection_what_is_there_is_taken(hub: Hub, pushed: None) -> None:
    image, _ = draw_scene(3, (90, 120))
    online = briskseg.load("hf://me/streets", "torch")(image)
    hub.is_gone = True
    np.testing.assert_array_equal(briskseg.load("hf://me/streets", "torch")(image), online)
    with pytest.raises(BriskError, match="is not in the cache here") as raised:
        briskseg.load("hf://me/streets", "onnx")
    assert "hf download me/streets model.onnx" in str(raised.value)


def test_offline_nothing_is_asked(hub: Hub, pushed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    briskseg.load("hf://me/streets", "torch")
    hub.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # read once from the environment
    assert briskseg.load("hf://me/streets", "torch").card.network.name == "fast_scnn"
    with pytest.raises(BriskError, match="is not in the cache here"):
        briskseg.load("hf://me/streets", "onnx")
    assert hub.requests == []


def test_a_cache_without_links_is_not_trusted(hub: Hub, pushed: None) -> None:
    """Where the system has none, nothing in the cache says what the file was."""
    file = Path(briskseg.load("hf://me/streets", "torch").ran.file)
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content)
    hub.is_gone = True
    with pytest.raises(WeightsError, match="name that file itself") as raised:
        briskseg.load("hf://me/streets")
    assert str(file) in str(raised.value)
    assert briskseg.load(file, "torch").card.network.name == "fast_scnn"


def test_an_address_is_said_as_it_was_given(command, tmp_path: Path) -> None:
    write_png(tmp_path / "image.png", draw_scene(0, (48, 64))[0])
    done = command("predict", "hf://me", tmp_path / "image.png")
    assert (done.status, "hf://me is no address of a model" in done.err) == (2, True)


def test_what_a_hub_says_twice_is_said_once() -> None:
    with pytest.raises(ConnectionError) as raised:
        raise ConnectionError("no route to host") from OSError("no route to host")
    assert reason(raised.value) == "no route to host"


def test_a_hub_that_fails_in_between_is_no_hub_without_the_file(hub: Hub, pushed: None) -> None:
    hub.answers_left = 1  # the client asks for a file's size twice
    with pytest.raises(BriskError, match="the Hub cannot be reached") as raised:
        briskseg.load("hf://me/streets", "torch")
    assert not isinstance(raised.value, RequestError)


def test_what_is_served_is_what_was_fetched(
    hub: Hub, pushed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page fetches no other file, and has the network where a browser can run it."""
    pytest.importorskip("uvicorn", reason="SERVE IS NOT TESTED: pip install '.[serve]'")
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    hub.requests.clear()
    hub.repos["me/streets.v2"] = hub.repos["me/streets"]
    with serving(model="hf://me/streets.v2") as server:
        page = urlopen(f"{server.address}/").read().decode()
        model = json.load(urlopen(f"{server.address}/v2/models/streets.v2"))
    assert fetched(hub) & SENT == {"model.onnx"}
    assert model["name"] == "streets.v2"
    assert '<option value="server">' in page
    assert ('<option value="browser">' in page) == (not web_runtime.fault())


def test_what_is_private_is_for_its_owner(
    hub: Hub, pushed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repos["me/streets"].private = True
    assert briskseg.load("hf://me/streets", "onnx").card.network.name == "fast_scnn"
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(RequestError, match="or it is private and not yours"):
        briskseg.load("hf://me/streets", "torch")


def test_what_is_no_model_of_ours_is_refused(hub: Hub, pushed: None, tmp_path: Path) -> None:
    bare = tmp_path / "bare.safetensors"
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(3, np.float32)}, bare)
    commit = {"pytorch_model.bin": b"\x80\x02", "README.md": b"hi"}
    hub.repos["x/pickled"] = Repo(commits={"1" * 40: commit})
    hub.repos["x/bare"] = Repo(commits={"2" * 40: {"model.safetensors": bare.read_bytes()}})
    hub.requests.clear()
    with pytest.raises(RequestError, match=r"holds no model\.safetensors or model\.onnx"):
        briskseg.load("hf://x/pickled")
    assert fetched(hub) == set()
    with pytest.raises(WeightsError, match="has no card"):
        briskseg.load("hf://x/bare")
    with pytest.raises(RequestError, match="no such model on the Hub, or it is private"):
        briskseg.load("hf://x/nothing")
    with pytest.raises(RequestError, match=r"runs \.tflite files"):
        briskseg.load("hf://me/streets", "litert")


@pytest.mark.parametrize("address", ["hf://streets", "hf://a/b/c", "hf://a/..", "hf://a/b@../x"])
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(RequestError, match="expected hf://OWNER/NAME"):
        briskseg.load(address)


def test_what_cannot_be_pushed(
    hub: Hub, run_folder: Path, tmp_path: Path, command: Callable
) -> None:
    assert "expected OWNER/NAME" in command("push", run_folder, "streets").err
    assert "expected a run folder" in command("push", tmp_path / "none", "me/x").err
    shutil.copyfile(run_folder / "recipe.yaml", tmp_path / "recipe.yaml")
    assert "no validation of it has finished" in command("push", tmp_path, "me/x").err
    (tmp_path / "mine").write_text("private")
    openvino_file(run_folder)
    (run_folder / "model.bin").unlink()
    (run_folder / "model.bin").symlink_to(tmp_path / "mine")
    done = command("push", run_folder, "me/x")
    assert done.status == 2
    assert "is a link to a file outside of the run folder" in done.err
    (run_folder / "model.xml").unlink()  # what is left is another program's checkpoint
    assert "model.bin" not in command("push", run_folder, "me/x", "--dry-run").out
    (run_folder / "scores.json").unlink()
    assert "has no scores.json yet" in command("push", run_folder, "me/x", "--dry-run").err
    assert hub.repos == {}
