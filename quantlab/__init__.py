"""quantlab: from a hypothesis in a notebook to a paper-trading hand-over, counting every attempt."""

import sys
from importlib.metadata import PackageNotFoundError, version
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


def attach_wing(package: str, rooms: dict[str, list[str]]) -> tuple:
    "`__getattr__, __dir__, __all__` of a wing whose `rooms` are imported when first used"
    import lazy_loader

    sys.modules[package].__class__ = _Wing
    return lazy_loader.attach(package, submod_attrs=rooms)
