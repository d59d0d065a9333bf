"""Run code as if only the base and the named extras of quantlab were installed.

    python only_with.py "pipeline research" < code

What the requirements bring along is read from the metadata of the installed packages; an import of
anything else fails as it does where the package is missing.
"""

import sys
from configparser import ConfigParser
from importlib.abc import MetaPathFinder
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]


def key(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def requirements_of(extras: list[str]) -> list[Requirement]:
    "What settings.ini asks for"
    settings = ConfigParser(delimiters=["="], comment_prefixes=[";"])
    settings.read(ROOT / "settings.ini", encoding="utf-8")
    names = ["requirements", *(f"{extra}_requirements" for extra in extras)]
    lines = "\n".join(settings["DEFAULT"][name] for name in names).splitlines()
    return [Requirement(line.split(";")[0]) for line in filter(str.strip, lines)]


def closure(asked: list[Requirement]) -> set[str]:
    "Distributions that come with `asked`"
    found: set[tuple[str, str]] = set()
    todo = [(key(r.name), extra) for r in asked for extra in ("", *r.extras)]
    while todo:
        name, extra = todo.pop()
        if (name, extra) in found:
            continue
        found.add((name, extra))
        try:
            needed = map(Requirement, requires(name) or [])
        except PackageNotFoundError:  # for another system
            continue
        for r in needed:
            if r.marker is None or r.marker.evaluate({"extra": extra}):
                todo += [(key(r.name), e) for e in ("", *r.extras)]
    return {name for name, _ in found}


class Missing(MetaPathFinder):
    "Finds nothing for what is not installed"

    def __init__(self, missing: set[str]):
        self.missing = missing

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def main() -> None:
    kept = closure(requirements_of(sys.argv[1].split())) | {"quantlab", "packaging"}
    missing = {
        module
        for module, homes in packages_distributions().items()
        if not kept & set(map(key, homes)) and module not in sys.builtin_module_names
    }
    sys.meta_path.insert(0, Missing(missing))
    sys.path.insert(0, str(ROOT))
    exec(compile(sys.stdin.read(), "given", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    main()
