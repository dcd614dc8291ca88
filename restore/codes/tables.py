"""Codes and what was found by them, as files."""

import csv
import importlib.util
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from restore.codes.encoder import Codes
from restore.errors import RestoreError

__all__ = ["CODE_SUFFIXES", "TABLE_SUFFIXES", "check_codes_suffix", "codes_as_bytes", "rounded", "table_as_bytes"]

CODE_SUFFIXES = (".npz", ".parquet")
TABLE_SUFFIXES = (".csv", ".json")


def codes_as_bytes(codes: Codes, about: Mapping[str, Any], suffix: str) -> bytes:
    """A file of codes.

    `.npz` holds `names`, `codes` `(N, numbers)` float32, `shape` (numbers, rows, columns of one code), `labels` where
    there are any, and `about`, JSON. `.parquet` holds a row for each picture: `name`, `label`, and `code`, a list of
    float32; `shape` and `about` are in the file's metadata under `restore`. Bytes of names that are not UTF-8 are as
    Python has them in `.npz`, and escaped in `.parquet`, which takes UTF-8 alone.

    Args:
        codes: What to write.
        about: Where they come from, as plain JSON values.
        suffix: `.npz` or `.parquet`.

    Raises:
        RestoreError: Parquet is not installed.
    """
    buffer = io.BytesIO()
    if suffix == ".npz":
        labels = {} if codes.labels is None else {"labels": codes.labels}
        np.savez(
            buffer,
            allow_pickle=False,
            names=np.array(codes.names),
            codes=codes.vectors,
            shape=np.array(codes.shape),
            about=np.array(json.dumps(about)),
            **labels,
        )
        return buffer.getvalue()
    check_codes_suffix(suffix)
    import pyarrow as pa
    from pyarrow import parquet

    flat = pa.array(codes.vectors.reshape(-1))
    columns = {
        "name": pa.array(
            [name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace") for name in codes.names]
        ),
        **({} if codes.labels is None else {"label": pa.array(codes.labels)}),
        "code": pa.FixedSizeListArray.from_arrays(flat, codes.vectors.shape[1]),
    }
    metadata = {"restore": json.dumps({"shape": codes.shape, **about})}
    parquet.write_table(pa.table(columns).replace_schema_metadata(metadata), buffer)
    return buffer.getvalue()


def check_codes_suffix(suffix: str) -> None:
    """Find out before the work whether such a file of codes can be written.

    Raises:
        RestoreError: Parquet is asked for and not installed.
    """
    if suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise RestoreError("Parquet needs an extra package: pip install 'restore[parquet]'")


def rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its floats to six digits."""
    return {name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in row.items()}


def table_as_bytes(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], suffix: str) -> bytes:
    """Rows as CSV or JSON.

    Bytes of names that are not UTF-8 stay as they are in CSV; JSON is ASCII and has them as Python does.

    Args:
        rows: Plain values by column.
        columns: Their order.
        suffix: `.csv` or `.json`.
    """
    if suffix == ".json":
        return (json.dumps([dict(row) for row in rows], indent=1) + "\n").encode()
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode("utf-8", "surrogateescape")
