"""Makes the Python stubs from contracts/proto/v1: `python -m orion.wire.generate [--check]`."""

from __future__ import annotations

import filecmp
import re
import sys
import tempfile
from importlib import resources
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PROTOS = ROOT / "contracts" / "proto" / "v1"
STUBS = Path(__file__).resolve().parent / "stubs"


def generate(target: Path) -> None:
    """Runs protoc into `target`; makes the imports between stubs relative, as a package needs."""
    from grpc_tools import protoc  # a development dependency: stubs are checked in

    include = str(resources.files("grpc_tools") / "_proto")
    sources = sorted(str(p) for p in PROTOS.glob("*.proto"))
    flags = [f"-I{PROTOS}", f"-I{include}", f"--python_out={target}", f"--pyi_out={target}"]
    code = protoc.main(["protoc", *flags, f"--grpc_python_out={target}", *sources])
    if code != 0:
        raise SystemExit(f"protoc failed with {code}")
    for stub in target.glob("*_pb2*.py*"):
        text = re.sub(r"^import (\w+_pb2)", r"from . import \1", stub.read_text(), flags=re.M)
        stub.write_text(text)
    (target / "__init__.py").write_text("")


def main() -> None:
    """Writes the stubs, or with --check exits 1 when they differ from the checked-in ones."""
    if "--check" not in sys.argv:
        STUBS.mkdir(exist_ok=True)
        generate(STUBS)
        return
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        names = [p.name for p in Path(scratch).iterdir()]
        _, differ, missing = filecmp.cmpfiles(scratch, STUBS, names, shallow=False)
    if differ or missing:
        raise SystemExit(f"stubs are stale: {sorted(differ + missing)}; run orion.wire.generate")


if __name__ == "__main__":
    main()
