"""docs/errors.md explains every message that a run of `restore photos` can end in."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = [
    *sorted((ROOT / "restore" / "codes").glob("*.py")),
    *(ROOT / "restore" / "cli" / f"{name}.py" for name in ("anomalies", "anomaly_report", "anomaly_table")),
    *(ROOT / "restore" / "cli" / f"{name}.py" for name in ("compress", "decompress", "options", "photos")),
    *(ROOT / "restore" / "cli" / f"{name}.py" for name in ("encode", "generate", "probe")),
    *sorted((ROOT / "restore" / "images").glob("*.py")),
    *(ROOT / "restore" / "inference" / f"{name}.py" for name in ("batch", "journal", "masks", "photos", "report")),
    *(ROOT / "restore" / "inference" / f"{name}.py" for name in ("restorer", "tiling")),
    ROOT / "restore" / "models" / "bundle.py",
    ROOT / "restore" / "devices.py",
]
OURS = ("UsageError", "ImageError", "OutputError", "BundleError", "PrecisionError", "DataError", "RestoreError")


def messages(module: Path) -> Iterator[str]:
    """The longest fixed part of each message that is raised."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args):
            continue
        if not ast.unparse(node.exc.func).endswith(OURS):
            continue
        parts = [
            part.value
            for part in ast.walk(node.exc.args[0])
            if isinstance(part, ast.Constant) and isinstance(part.value, str)
        ]
        longest = max(parts, key=len, default="").strip(" :;,(){}'`")
        if len(longest) > 5:
            yield longest


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_every_message_is_explained(module: Path) -> None:
    page = " ".join((ROOT / "docs" / "errors.md").read_text(encoding="utf-8").split())
    assert [message for message in messages(module) if " ".join(message.split()) not in page] == []
