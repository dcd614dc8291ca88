"""Reading what W&B wrote offline: a LevelDB log of protobuf records."""

import json
from pathlib import Path
from typing import Any

_BLOCK = 32768  # bytes; records do not cross it but in pieces


def read_run(path: Path) -> tuple[dict[str, float], dict[str, Any]]:
    """The last logged value of every key that holds a number, and the run's settings."""
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]  # generated code without stubs

    data = path.read_bytes()
    values: dict[str, float] = {}
    settings: dict[str, Any] = {}
    position, pending = 7, b""  # after the file's own header
    while position + 7 <= len(data):
        if _BLOCK - position % _BLOCK < 7:  # too little for a header is padding
            position += _BLOCK - position % _BLOCK
            continue
        length, kind = int.from_bytes(data[position + 4 : position + 6], "little"), data[position + 6]
        pending += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in {1, 4}:  # a whole record, or the last piece of one
            record = Record.FromString(pending)
            for item in [*record.run.config.update, *record.config.update]:
                settings[item.key] = json.loads(item.value_json)
            for item in [*record.history.item, *record.summary.update]:
                value = json.loads(item.value_json)
                if isinstance(value, int | float):
                    values[item.key or "/".join(item.nested_key)] = float(value)
            pending = b""
    return values, settings
