"""A browser without a window, spoken to as its own tools do."""

import base64
import json
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

from websockets.sync.client import connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


class Tab:
    "One page of the browser, and what it has complained of"

    def __init__(self, socket):
        self.socket, self.number, self.complaints, self.asked = socket, 0, [], []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            told = json.loads(self.socket.recv(timeout=30))
            if told.get("id") == self.number:
                assert "error" not in told, told
                return told["result"]
            self._hear(told)

    def _hear(self, told):
        parameters = told.get("params", {})
        if told["method"] == "Runtime.exceptionThrown":
            self.complaints.append(str(parameters["exceptionDetails"]))
        if told["method"] == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.complaints.append(str(parameters["entry"]))
        if told["method"] == "Network.requestWillBeSent":
            self.asked.append(parameters["request"]["url"])

    def does(self, script):
        return self.call("Runtime.evaluate", expression=script, returnByValue=True)["result"].get(
            "value"
        )

    def waits(self, script):
        "Until a script says something that is true"
        for _ in range(300):
            if value := self.does(script):
                return value
            time.sleep(0.1)
        raise AssertionError(f"never: {script}")

    def opens(self, url):
        self.call("Page.navigate", url=url)
        self.waits(f"document.readyState === 'complete' && location.href.startsWith('{url}')")

    def looks(self, *, width=1100, height=900, dark=False):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)

    def picture(self, path):
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        Path(path).write_bytes(base64.b64decode(data))


@contextmanager
def browser(folder):
    "A tab of a browser of its own"
    profile = Path(folder) / "profile"
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    quiet += ["--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
    with open(Path(folder) / "said", "wb") as said:
        process = subprocess.Popen([CHROMIUM, *quiet], stdout=said, stderr=said)
    try:
        told = profile / "DevToolsActivePort"
        for _ in range(300):
            if told.exists() and len(told.read_text().split()) == 2:
                break
            assert process.poll() is None, "the browser has ended"
            time.sleep(0.1)
        port, path = told.read_text().split()
        place = f"ws://127.0.0.1:{port}"
        with connect(f"{place}{path}", max_size=None, proxy=None) as whole:
            whole.send(json.dumps({"id": 1, "method": "Target.getTargets"}))
            targets = json.loads(whole.recv())["result"]["targetInfos"]
            name = next(t["targetId"] for t in targets if t["type"] == "page")
        with connect(f"{place}/devtools/page/{name}", max_size=None, proxy=None) as socket:
            yield Tab(socket)
    finally:
        process.terminate()
        process.wait(timeout=30)
