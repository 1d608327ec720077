"""JSON Schemas of all events, made from their types: `python -m orion.wire.schemas [--check]`.

Written to contracts/schemas/v1, one file per event type and one for the envelope. `--check` exits 1
when a file differs from its type. Writing refuses a change that readers of version 1 could not
follow (see `breaks`); such a change needs a new version of the event.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from orion.wire.envelope import Envelope
from orion.wire.registry import BY_TYPE

FOLDER = Path(__file__).resolve().parents[3] / "contracts" / "schemas" / "v1"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]


class Document(Envelope, frozen=True, gc=False):
    """The envelope with any payload, as its schema shows it."""

    payload: dict[str, Any]


def generate() -> dict[str, Schema]:
    """File name → schema, for every event type of the registry and the envelope."""
    made = {"envelope.json": _schema("Event envelope", Document)}
    for name, kind in sorted(BY_TYPE.items()):
        title = f"Payload of {name}, version {kind.version}"
        made[f"{name}.json"] = _schema(title, kind.shape.struct)
    return made


def _schema(title: str, struct: Any) -> Schema:
    body = msgspec.json.schema(struct)
    return {"$schema": DIALECT, **body, "title": title}


def breaks(old: Schema, new: Schema) -> list[str]:
    """What a reader of `old` would trip over in events of `new`, or a reader of `new` in events of
    `old`. Empty: compatible.

    Not allowed: removing or renaming a field, making an optional field required, adding a required
    one, changing a type, taking a value out of an enumeration. Allowed: adding optional fields.
    """
    return _compare(_resolve(old, old), _resolve(new, new), old, new, "$")


def _resolve(node: Any, root: Schema) -> Any:
    while isinstance(node, dict) and "$ref" in node:
        node = root["$defs"][node["$ref"].rsplit("/", 1)[1]]
    return node


def _compare(
    old: Any, new: Any, old_root: Schema, new_root: Schema, path: str
) -> list[str]:
    old, new = _resolve(old, old_root), _resolve(new, new_root)
    if not isinstance(old, dict) or not isinstance(new, dict) or path.count(".") > 20:
        return [] if old == new else [f"{path}: changed"]
    found: list[str] = []
    for word in ("type", "format"):
        if old.get(word) != new.get(word):
            found.append(f"{path}: {word} {old.get(word)} became {new.get(word)}")
    gone = set(old.get("enum", ())) - set(new.get("enum", old.get("enum", ())))
    found += [f"{path}: value {value} is gone" for value in sorted(map(str, gone))]
    found += _compare_objects(old, new, old_root, new_root, path)
    if "items" in old:
        found += _compare(old["items"], new.get("items", {}), old_root, new_root, f"{path}[]")
    if "anyOf" in old or "anyOf" in new:
        found += _compare_choices(old, new, old_root, new_root, path)
    return found


def _compare_objects(
    old: Schema, new: Schema, old_root: Schema, new_root: Schema, path: str
) -> list[str]:
    found: list[str] = []
    before, after = old.get("properties", {}), new.get("properties", {})
    for name in before:
        if name not in after:
            found.append(f"{path}.{name}: removed or renamed")
        else:
            found += _compare(before[name], after[name], old_root, new_root, f"{path}.{name}")
    required_before, required_after = set(old.get("required", ())), set(new.get("required", ()))
    for name in sorted(required_after - required_before):
        how = "made required" if name in before else "added as required"
        found.append(f"{path}.{name}: {how}")
    for name in sorted(required_before - required_after):
        if name in after:
            found.append(f"{path}.{name}: no longer required, readers count on it")
    return found


def _compare_choices(
    old: Schema, new: Schema, old_root: Schema, new_root: Schema, path: str
) -> list[str]:
    def choices(schema: Schema, root: Schema) -> dict[str, Any]:
        resolved = [_resolve(c, root) for c in schema.get("anyOf", [schema])]
        return {str(c.get("type", c.get("title"))): c for c in resolved}

    before, after = choices(old, old_root), choices(new, new_root)
    if before.keys() != after.keys():
        return [f"{path}: {sorted(before)} became {sorted(after)}"]
    found: list[str] = []
    for name in before:
        found += _compare(before[name], after[name], old_root, new_root, path)
    return found


def _text(schema: Schema) -> str:
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def stale(folder: Path = FOLDER) -> list[str]:
    """Names of files that differ from their types, are missing, or have no type any more."""
    made = generate()
    present = {p.name for p in folder.glob("*.json")}
    wrong = [n for n, s in made.items() if n not in present or (folder / n).read_text() != _text(s)]
    return sorted({*wrong, *(present - made.keys())})


def write(folder: Path = FOLDER) -> list[str]:
    """Writes all files; gives the breaks that kept it from writing anything, if there are any."""
    made = generate()
    folder.mkdir(parents=True, exist_ok=True)
    found: list[str] = []
    for path in sorted(folder.glob("*.json")):
        if path.name not in made:
            found.append(f"{path.name}: the event type is gone")
        else:
            old = json.loads(path.read_text())
            found += [f"{path.name} {b}" for b in breaks(old, made[path.name])]
    if not found:
        for name, schema in made.items():
            (folder / name).write_text(_text(schema))
    return found


def main() -> None:
    """Writes the schemas, or with --check exits 1 when one is stale."""
    if "--check" in sys.argv:
        if wrong := stale():
            raise SystemExit(f"schemas are stale: {wrong}; run orion.wire.schemas")
        return
    if found := write():
        raise SystemExit("this breaks readers of version 1:\n  " + "\n  ".join(found))


if __name__ == "__main__":
    main()
