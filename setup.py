"""Package metadata: everything is read from settings.ini, the one place for it."""

import shutil
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

here = Path(__file__).parent
parser = ConfigParser(delimiters=["="], comment_prefixes=[";"], inline_comment_prefixes=None)
parser.read(here / "settings.ini", encoding="utf-8")
settings = parser["DEFAULT"]


def requirements(name: str) -> list[str]:
    "Lines of the setting `name` without the reasons behind the semicolons"
    lines = (line.split(";")[0].strip() for line in settings[name].splitlines())
    return [line for line in lines if line]


class BuildWithTemplate(build_py):
    "The package, and beside its modules what `quantlab init` makes a project of"

    def run(self):
        super().run()
        if self.editable_mode:  # the repository itself is the template
            return
        template = Path(self.build_lib) / "quantlab/template"
        for pattern in ("dvc.yaml", "params.yaml", "nbs/stages/*.ipynb", "nbs/project/**/*"):
            for file in sorted(f for f in here.glob(pattern) if f.is_file()):
                if "__pycache__" not in file.parts:
                    target = template / file.relative_to(here)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, target)


names = [key.removesuffix("_requirements") for key in settings if key.endswith("_requirements")]
extras = {name: requirements(f"{name}_requirements") for name in names}
# torch and what comes with it are asked for by name alone: gigabytes that most never use
locked = {name: lines for name, lines in extras.items() if name != "rl"}

setup(
    name=settings["lib_name"],
    version=settings["version"],
    description=settings["description"],
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author=settings["author"],
    license=settings["license"],
    keywords=settings["keywords"],
    python_requires=f">={settings['min_python']}",
    packages=find_packages(include=["quantlab", "quantlab.*"]),
    package_data={
        "quantlab": ["py.typed", "*/*.pyi", "*.pyi", "files/*", "live/files/*", "venues/files/*"]
    },
    install_requires=requirements("requirements"),
    extras_require=extras | {"all": sorted(set().union(*locked.values()))},
    cmdclass={"build_py": BuildWithTemplate},
    entry_points={
        "console_scripts": ["quantlab = quantlab.cli:main"],
        "nbdev": ["quantlab = quantlab._modidx:d"],
    },
)
