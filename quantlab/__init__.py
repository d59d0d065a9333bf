"""quantlab: from a hypothesis in a notebook to a paper-trading hand-over, counting every attempt."""

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


class _Wing(ModuleType):
    "A wing keeps its functions when a room of the same name is imported (`johansen` is both)"

    def __setattr__(self, name, value):
        if not (isinstance(value, ModuleType) and name in self.__all__):
            super().__setattr__(name, value)


def attach_wing(package: str, rooms: dict[str, list[str]], below: dict[str, list[str]] | None = None) -> tuple:
    """`__getattr__, __dir__, __all__` of a wing whose `rooms` are imported when first used.

    `below` are modules further down whose names the wing shows too: those that moved down, and keep their old address.
    """
    import lazy_loader

    sys.modules[package].__class__ = _Wing
    from_rooms, names, public = lazy_loader.attach(package, submod_attrs=rooms)
    home = {name: module for module, listed in (below or {}).items() for name in listed}

    def attribute(name: str):
        return getattr(import_module(home[name]), name) if name in home else from_rooms(name)

    return attribute, lambda: sorted({*names(), *home}), sorted({*public, *home})


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
