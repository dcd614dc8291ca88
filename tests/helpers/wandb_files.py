"""Reading what W&B wrote offline: a LevelDB log of protobuf records."""

import json
from pathlib import Path

_BLOCK = 32768  # bytes; records do not cross it but in pieces


def read_history(path: Path) -> dict[str, float]:
    """The last logged value of every key that holds a number."""
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]  # generated code without stubs

    data = path.read_bytes()
    values: dict[str, float] = {}
    position, pending = 7, b""  # after the file's own header
    while position + 7 <= len(data):
        if _BLOCK - position % _BLOCK < 7:  # too little for a header is padding
            position += _BLOCK - position % _BLOCK
            continue
        length, kind = int.from_bytes(data[position + 4 : position + 6], "little"), data[position + 6]
        pending += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in {1, 4}:  # a whole record, or the last piece of one
            for item in Record.FromString(pending).history.item:
                value = json.loads(item.value_json)
                if isinstance(value, int | float):
                    values[item.key or "/".join(item.nested_key)] = float(value)
            pending = b""
    return values
