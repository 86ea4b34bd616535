"""Finds pipelines by their folders: one whose pipeline.py says `pipeline = Pipeline(…)`, by its name."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from lambdas.columns import DeclarationError
from lambdas.model import NAME, Pipeline
from lambdas.tables import RESULT_TABLES

ROOT = Path(__file__).parent
# Pipelines whose stack would be called like one that is no pipeline's, or their table like one of results.
TAKEN = {"dashboard", "lake", "operators"} | {
    shape.name.removesuffix("_events") for shape in RESULT_TABLES.values() if shape.name.endswith("_events")
}


def discover(root: Path | None = None) -> dict[str, Pipeline]:
    """Every pipeline under `root` (by default this package) by its name, in order of the names."""
    return {name: load(name, root) for name in names(root)}


def names(root: Path | None = None) -> list[str]:
    """The names of the folders that are pipelines; nothing in them is read yet."""
    folders = sorted(path for path in (root or ROOT).iterdir() if path.is_dir() and path.name[0] not in "._")
    for folder in folders:
        modules = sorted(folder.glob("*.py"))
        if modules and not (folder / "pipeline.py").exists():
            raise DeclarationError(
                f"{folder.name}: the folder has {modules[0].name} and no pipeline.py; declare the pipeline "
                f"in {place(folder.name)}."
            )
    return [folder.name for folder in folders if (folder / "pipeline.py").exists()]


def load(name: str, root: Path | None = None) -> Pipeline:
    """The pipeline of one folder; raises `DeclarationError` with one sentence when it cannot be had."""
    if name not in names(root):
        raise DeclarationError(f"{name}: there is no such pipeline; {nearest(name, names(root))}.")
    if not NAME.fullmatch(name):
        raise DeclarationError(
            f"{name}: the folder's name {name!r} is not lower snake case of at most 40 characters; rename it."
        )
    try:
        declared = getattr(_module(name, root), "pipeline", None)
        if isinstance(declared, Pipeline):
            return declared.named(name)
    except DeclarationError as error:
        raise DeclarationError(
            f"{name}: {str(error).removeprefix(f'{name}: ').removeprefix('pipeline: ')}"
        ) from error
    except Exception as error:
        reason = error.msg if isinstance(error, SyntaxError) else error
        raise DeclarationError(
            f"{name}: {place(name)} cannot be imported, line {_line(error)}: "
            f"{type(error).__name__}: {reason}; mend it there."
        ) from error
    if declared is None:
        raise DeclarationError(
            f"{name}: {place(name)} has no global named pipeline; say pipeline = Pipeline(…)."
        )
    raise DeclarationError(
        f"{name}: in {place(name)} the global pipeline is of type {type(declared).__name__}; say "
        "pipeline = Pipeline(…)."
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """The known names most like a misspelt one, for a sentence; all of them where none is alike."""
    known = list(known)
    alike = difflib.get_close_matches(name, known, cutoff=0.7)
    return f"did you mean {' or '.join(alike)}" if alike else f"there are {', '.join(known) or 'none'}"


def place(name: str) -> str:
    return f"pipelines/{name}/pipeline.py"


def _module(name: str, root: Path | None) -> ModuleType:
    if root is None or root == ROOT:
        return importlib.import_module(f"pipelines.{name}.pipeline")
    path = root / name / "pipeline.py"
    spec = importlib.util.spec_from_file_location(f"{root.name}.{name}.pipeline", path)
    assert spec is not None  # the file was found by names()
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _line(error: Exception) -> int | str:
    """The line of the pipeline's own file at which its import failed."""
    if isinstance(error, SyntaxError) and error.lineno:
        return error.lineno
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(sys.exc_info()[2])
        if frame.filename.endswith("pipeline.py")
    ]
    return next((line for line in reversed(lines) if line), "unknown")
