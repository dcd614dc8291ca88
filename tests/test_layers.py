"""The layers of the design, and what importing the package costs."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_imports_only_go_down() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "2 kept, 0 broken" in done.stdout


@pytest.mark.parametrize(
    "module", sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "restore").rglob("*.py"))
)
def test_every_module_says_what_it_is_and_stays_one_idea(module: str) -> None:
    text = (ROOT / module).read_text(encoding="utf-8")
    assert text.startswith('"""'), "no docstring"
    assert len(text.splitlines()) <= 350, "two ideas: split it"
    body = ast.parse(text).body
    defined = [node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign)]
    if defined and not module.endswith("__main__.py"):
        assert re.search(r"^__all__\b", text, flags=re.MULTILINE), "no __all__"


def test_the_public_names_are_these() -> None:
    import restore

    assert restore.__all__ == ["BatchOptions", "MaskFolder", "PhotoResult", "Restorer", "__version__", "restore_photos"]
    homes = {name: getattr(restore, name).__module__ for name in restore.__all__ if name != "__version__"}
    assert homes == {
        "BatchOptions": "restore.inference.outcome",
        "MaskFolder": "restore.inference.masks",
        "PhotoResult": "restore.inference.outcome",
        "Restorer": "restore.inference.restorer",
        "restore_photos": "restore.inference.photos",
    }
    with pytest.raises(AttributeError, match="no attribute 'Restored'"):
        restore.Restored  # noqa: B018  # the access is what is tested


def test_restoring_imports_nothing_that_only_training_needs() -> None:
    # Nor torch's compiler, nor what only classical methods need: 230 MB and seconds.
    code = """if True:
        import sys, numpy, restore
        restore.restore_photos
        restore.Restorer.from_bundle("denoise", "cpu").restore(numpy.zeros((8, 8), numpy.uint8))
        heavy = {"albumentations", "lightning", "scipy", "sympy", "torch._dynamo", "torchmetrics", "torchvision"}
        print(sorted(heavy & set(sys.modules)))
        """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_the_sample_photos_come_with_scikit_image() -> None:
    from restore.images.samples import sample_photos

    assert len(sample_photos()) == 6
