"""The four proxies: how each is told to do the same work, and how it is started."""

import json
import os
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

MODEL = 5001
PORTS = {"gateway": 8101, "nginx": 8102, "haproxy": 8103, "envoy": 8104}
KEYS = ("atl_" + "p" * 43, "atl_" + "s" * 43)
# Where each proxy runs alone, and where load, model and readers of records are.
PROXY_CORE, LOAD_CORE = 1, 0
CONF = Path(__file__).parent.parent / "conf"


@dataclass(frozen=True)
class Work:
    """What a proxy has to do for a request, besides passing it on."""

    auth: str = "none"  # none, key, token (the verdict kept), token-uncached
    tls: bool = False
    record: bool = True


class Running:
    """A proxy, or the model, until it is stopped."""

    def __init__(self, name, line, folder, core, port, out=None):
        self.name, self.port = name, port
        self.err = open(folder / f"{name}.err", "wb")
        pinned = ["taskset", "-c", str(core), *map(str, line)]
        self.process = subprocess.Popen(pinned, stdin=subprocess.DEVNULL, stdout=out or self.err, stderr=self.err)
        self.pid = self.process.pid

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Bench:
    """A folder, the programs, and whoever runs just now."""

    def __init__(self, folder, gateway, envoy, tool):
        self.folder, self.gateway, self.envoy, self.tool = folder, gateway, envoy, tool
        self.running, self.readers = [], []
        folder.mkdir(parents=True, exist_ok=True)
        self._certificate()
        subprocess.run([tool, "tokens", folder, "20000"], check=True)
        helped = subprocess.run([gateway, "--help"], capture_output=True, text=True, check=True).stdout
        self.gateway_has_tls = "--tls-dir" in helped

    def _certificate(self):
        """For all the same: P-256, self-signed, at the names that the gateway expects."""
        line = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
        pair = ["-keyout", self.folder / "tls.key", "-out", self.folder / "tls.crt"]
        names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        subprocess.run([*line.split(), *pair, *names], check=True, capture_output=True)
        both = (self.folder / "tls.crt").read_text() + (self.folder / "tls.key").read_text()
        (self.folder / "tls.pem").write_text(both)

    def fifo(self, name):
        """A pipe for records, and one who reads it, as a container runtime reads a container's stdout."""
        path = self.folder / f"{name}.records"
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        # Held open by the reader for writing too: it must not see an end between two writers.
        reader = ["taskset", "-c", str(LOAD_CORE), "sh", "-c", f'exec cat <>"{path}" >/dev/null']
        self.readers.append(subprocess.Popen(reader))
        return path

    def model(self):
        """The model: nginx with one constant answer."""
        self._fill("model.conf", "model.conf", {})
        return self._start("model", ["nginx", "-p", self.folder, "-c", self.folder / "model.conf"], LOAD_CORE, MODEL)

    def proxy(self, name, work):
        """Starts a proxy for a kind of work, and waits until it answers."""
        return getattr(self, f"_{name}")(work)

    def _start(self, name, line, core, port, out=None):
        started = Running(name, line, self.folder, core, port, out)
        self.running.append(started)
        return started

    def _fill(self, template, target, values):
        """Fills in `@NAME@`, and keeps or drops the lines that end in `#if NAME` or `#unless NAME`."""
        lines = []
        for line in (CONF / template).read_text().splitlines():
            line, _, condition = line.partition(" #if ")
            line, _, exception = line.partition(" #unless ")
            if (condition and not values.get(condition)) or (exception and values.get(exception)):
                continue
            for key, value in values.items():
                line = line.replace(f"@{key}@", str(value))
            lines.append(line)
        (self.folder / target).write_text("\n".join(lines) + "\n")

    def _values(self, name, work):
        return {
            "PORT": PORTS[name],
            "FOLDER": self.folder,
            "PRIMARY": KEYS[0],
            "SECONDARY": KEYS[1],
            "RECORDS": self.fifo(name) if work.record else "",
            "record": work.record,
            "key": work.auth == "key",
            "token": work.auth.startswith("token"),
            "cached": work.auth == "token",
            "tls": work.tls,
        }

    def _nginx(self, work):
        self._fill("nginx.conf", "nginx.conf", self._values("nginx", work))
        line = ["nginx", "-p", self.folder, "-c", self.folder / "nginx.conf"]
        return self._start("nginx", line, PROXY_CORE, PORTS["nginx"])

    def _haproxy(self, work):
        values = self._values("haproxy", work)
        self._fill("haproxy.cfg", "haproxy.cfg", values)
        out = open(values["RECORDS"], "wb") if work.record else None
        line = ["haproxy", "-db", "-f", self.folder / "haproxy.cfg"]
        return self._start("haproxy", line, PROXY_CORE, PORTS["haproxy"], out)

    def _envoy(self, work):
        values = self._values("envoy", work)
        values["JWKS"] = json.dumps((self.folder / "jwks.json").read_text())
        self._fill("envoy.yaml", "envoy.yaml", values)
        line = [self.envoy, "-c", self.folder / "envoy.yaml", "--concurrency", "1", "--disable-hot-restart"]
        return self._start("envoy", [*line, "-l", "warn"], PROXY_CORE, PORTS["envoy"])

    def _gateway(self, work):
        policies = self.folder / f"policy-{work.auth}"
        policies.mkdir(exist_ok=True)
        mode = "token" if work.auth.startswith("token") else work.auth
        policy = (self.folder / f"{mode}.json").read_text()
        (policies / "policy.json").write_text(policy)
        port, admin = PORTS["gateway"], 8100
        line = [self.gateway, "--listen", f"127.0.0.1:{port}", "--admin-listen", f"127.0.0.1:{admin}"]
        line += ["--model", f"127.0.0.1:{MODEL}", "--secret-dir", policies, "--workers", "1"]
        line += ["--namespace", "ml", "--service", "iris", "--workspace", "ws", "--replica", "iris-0"]
        line += ["--concurrent-requests", "1000", "--max-connections", "20000", "--drain-delay-ms", "0"]
        line += ["--termination-log", self.folder / "termination-log"]
        line += ["--tls-dir", self.folder] if work.tls else []
        # It always records: that is not to be turned off.
        started = self._start("gateway", line, PROXY_CORE, port, open(self.fifo("gateway"), "wb"))
        self.wait(lambda: urllib.request.urlopen(f"http://127.0.0.1:{admin}/readyz", timeout=1).status == 200, started)
        return started

    def wait(self, works, started):
        """Waits until something works that fails at first."""
        for _ in range(400):
            try:
                if works():
                    return
            except OSError:
                pass
            if started.process.poll() is not None:
                break
            time.sleep(0.025)
        said = (self.folder / f"{started.name}.err").read_text()
        raise SystemExit(f"{started.name} does not serve: {said[-2000:]}")

    def stop(self, *which):
        """Stops these, or everybody."""
        for one in which or list(self.running):
            one.stop()
            self.running.remove(one)
        if not which or len(self.running) <= 1:
            for reader in self.readers:
                reader.kill()
                reader.wait()
            self.readers.clear()
