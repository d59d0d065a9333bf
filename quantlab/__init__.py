"""quantlab: from a hypothesis in a notebook to a paper-trading hand-over, counting every attempt."""

import ast
import os
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

try:
    __version__ = version("quantlab")
except PackageNotFoundError:  # a source tree that was not installed
    __version__ = "0+unknown"


# what `quantlab.<TAB>` shows; the other modules are there for whoever names them in full
WINGS = tuple(sorted({*(face.parent.name for face in Path(__file__).parent.glob("*/__init__.pyi")), "simulate"}))


def __getattr__(name: str) -> ModuleType:
    if name in WINGS:
        return import_module(f"quantlab.{name}")
    raise AttributeError(f"module 'quantlab' has no attribute {name!r}; its wings are {', '.join(WINGS)}")


def __dir__() -> tuple[str, ...]:
    return WINGS


class _Wing(ModuleType):
    "A wing keeps its functions when a room of the same name is imported (`johansen` is both)"

    def __setattr__(self, name, value):
        if not (isinstance(value, ModuleType) and name in self.__all__):
            super().__setattr__(name, value)


def attach_wing(package: str, file: str) -> tuple:
    """`__getattr__, __dir__, __all__` of a wing: its face is the stub beside `file`, and a name is imported when it is first used.

    The stub is what editors and mypy read, so that they and Python see the same names. `from .room import name as name` is a
    room of the wing; an absolute import shows a name that lives further down.
    """
    home = {}
    for node in ast.parse(Path(file).with_suffix(".pyi").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            module = f"{package}.{node.module}" if node.level else node.module
            home |= dict.fromkeys((alias.name for alias in node.names), module)
    wing, public = sys.modules[package], sorted(home)
    wing.__class__ = _Wing

    def attribute(name: str):
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(home[name]), name)
        setattr(wing, name, value)
        return value

    return attribute, lambda: public, public


def _numba_cache() -> None:
    "Where neither the sources nor the home can be written to, compiled kernels go to a folder of this process"
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # "~" stays where there is no home
    if os.environ.get("NUMBA_CACHE_DIR") or any(map(_writable, [f"{__path__[0]}/__pycache__", f"{cache}/numba"])):
        return
    import atexit
    import shutil
    import tempfile
    import warnings

    from quantlab.errors import QuantlabWarning

    folder, owner = tempfile.mkdtemp(prefix="quantlab-numba-"), os.getpid()
    os.environ["NUMBA_CACHE_DIR"] = folder
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(folder, ignore_errors=True))
    warnings.warn(
        "Neither the sources nor a home folder can be written to, so compiled kernels are kept in a temporary folder "
        "for this process and its children only; name a lasting one in NUMBA_CACHE_DIR.",
        QuantlabWarning,
        stacklevel=3,
    )


def _writable(folder: str) -> bool:
    "Is `folder` there to be written to, or can it be made?"
    place = Path(folder)
    while place.is_absolute() and not place.exists() and place != place.parent:
        place = place.parent
    return place.is_dir() and os.access(place, os.W_OK | os.X_OK)


_numba_cache()
