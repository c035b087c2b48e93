"""Chromium without a window, driven over the DevTools protocol."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--remote-debugging-port=0", "--hide-scrollbars"),
)
PATIENCE = 120  # s


class Browser:
    """A browser with one page. What the page logs and requests is kept: `problems`, `requests`."""

    def __init__(self, folder: Path, *options: str) -> None:
        assert CHROMIUM
        self.downloads = folder / "downloads"
        self.downloads.mkdir(parents=True)
        self.problems: list[str] = []
        self.requests: list[str] = []
        self._scripts: list[str] = []
        self._session = ""
        profile = folder / "profile"
        words = [CHROMIUM, *OPTIONS, f"--user-data-dir={profile}", *options, "about:blank"]
        self._process = subprocess.Popen(
            words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._number, self._answers = 0, dict[int, Any]()
        self._socket = self._connect(profile / "DevToolsActivePort")
        self._session = self._attach()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait(PATIENCE)

    def begin(self) -> None:
        """Leave the page that is open, and forget what was kept."""
        for script in self._scripts:
            self.send("Page.removeScriptToEvaluateOnNewDocument", identifier=script)
        self._scripts.clear()
        self.send("Emulation.clearDeviceMetricsOverride")
        self.open("about:blank")
        for file in self.downloads.iterdir():
            file.unlink()
        self.problems.clear()
        self.requests.clear()

    def before_page(self, script: str) -> None:
        """What runs in the next page before its own scripts."""
        added = self.send("Page.addScriptToEvaluateOnNewDocument", source=script)
        self._scripts.append(added["identifier"])

    def open(self, address: str) -> None:
        self.send("Page.navigate", url=address)
        self.wait("document.readyState == 'complete'")

    def wait_ready(self) -> str:
        """What the page says once its network is loaded."""
        return str(self.wait_status("Ready"))

    def wait_status(self, part: str) -> str:
        self.until(lambda: part in self.text("status") or self.text("problem"), part)
        assert not self.text("problem")
        return self.text("status")

    def text(self, element: str) -> str:
        """What an element shows, by its id."""
        return str(self.run(f"document.getElementById('{element}').textContent"))

    def run(self, script: str) -> Any:
        """What a JavaScript expression, or its promise, gives, as a user's doing."""
        options = {"returnByValue": True, "awaitPromise": True, "userGesture": True}
        found = self.send("Runtime.evaluate", expression=script, **options)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, script: str) -> None:
        """Until the expression is true."""
        self.until(lambda: self.run(script), script)

    def until(self, condition: Callable[[], object], what: str = "") -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"not within {PATIENCE} s: {what}; {self.problems}"
            time.sleep(0.05)

    def press(self, key: str) -> None:
        """A key, as a keyboard sends it."""
        codes = {"Tab": 9, "Enter": 13, " ": 32}
        text = {} if key == "Tab" else {"text": "\r" if key == "Enter" else key}
        code = {"windowsVirtualKeyCode": codes.get(key, 0)}
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, **text, **code)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key, **code)

    def click(self, element: str) -> None:
        """The middle of an element, by its id."""
        x, y = self.run(
            f"(() => {{ const one = document.getElementById('{element}'); one.scrollIntoView();"
            "const box = one.getBoundingClientRect();"
            "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            event = {"x": x, "y": y, "button": "left", "clickCount": 1}
            self.send("Input.dispatchMouseEvent", type=kind, **event)

    def choose(self, file: Path) -> None:
        """A file, as chosen in the dialog of the page's one `input[type=file]`."""
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        found = self.send("DOM.querySelector", nodeId=root, selector="input[type=file]")
        self.send("DOM.setFileInputFiles", nodeId=found["nodeId"], files=[str(file)])

    def drop(self, file: Path) -> None:
        """A file, dropped on the middle of the page."""
        data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.send("Input.dispatchDragEvent", type=kind, x=200, y=200, data=data)

    def saved(self, pattern: str) -> Path:
        """The one file that was saved under such a name, whole."""
        self.until(lambda: [*self.downloads.glob(pattern)], pattern)
        (file,) = self.downloads.glob(pattern)
        self.until(lambda: not [*self.downloads.glob("*.crdownload")])
        return file

    def resize(self, width: int, height: int, scheme: str = "light") -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.send("Emulation.setDeviceMetricsOverride", **size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.send("Emulation.setEmulatedMedia", features=features)

    def screenshot(self, file: Path) -> None:
        shot = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))

    def send(self, method: str, session: str | None = None, **params: Any) -> Any:
        """The answer to a command, to the page unless another session is named."""
        number = self._post(method, self._session if session is None else session, params)
        while number not in self._answers:
            self._receive()
        answer = self._answers.pop(number)
        assert "error" not in answer, (method, answer)
        return answer["result"]

    def _post(self, method: str, session: str, params: dict[str, Any]) -> int:
        """The number of a command, whose answer is not waited for."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        self._socket.send(json.dumps(message | ({"sessionId": session} if session else {})))
        return self._number

    def _connect(self, file: Path) -> Any:
        import websocket

        self.until(lambda: file.exists() and file.read_text().count("\n"), "Chromium to start")
        port, path = file.read_text().split()
        address = f"ws://127.0.0.1:{port}{path}"
        return websocket.create_connection(address, PATIENCE, suppress_origin=True)

    def _attach(self) -> str:
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._watch(session)
        self.send("Page.enable", session)
        behavior = {"behavior": "allow", "downloadPath": str(self.downloads)}
        self.send("Browser.setDownloadBehavior", **behavior)
        return str(session)

    def _watch(self, session: str) -> None:
        """Hear of what a page or a worker logs and requests, and of its own workers."""
        attach = {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": True}
        self._post("Target.setAutoAttach", session, attach)
        for domain in ("Runtime", "Log", "Network"):
            self._post(f"{domain}.enable", session, {})

    def _receive(self) -> None:
        message = json.loads(self._socket.recv())
        if "id" in message:
            self._answers[message["id"]] = message
            return
        params = message["params"]
        match message["method"]:
            case "Network.requestWillBeSent" | "Network.webSocketCreated":
                self.requests.append(params.get("request", params)["url"])
            case "Runtime.exceptionThrown":
                self.problems.append(str(params["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                self.problems.append(str(params["args"]))
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.problems.append(str(params["entry"]))
            case "Target.attachedToTarget" if self._session:
                self._watch(params["sessionId"])
