"""Package metadata: everything is read from settings.ini, the one place for it."""

from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
parser = ConfigParser(delimiters=["="], comment_prefixes=[";"], inline_comment_prefixes=None)
parser.read(here / "settings.ini", encoding="utf-8")
settings = parser["DEFAULT"]


def requirements(name: str) -> list[str]:
    "Lines of the setting `name` without the reasons behind the semicolons"
    lines = (line.split(";")[0].strip() for line in settings[name].splitlines())
    return [line for line in lines if line]


names = ("research", "pipeline", "lab", "learn", "imports", "s3", "dev", "docs")
extras = {name: requirements(f"{name}_requirements") for name in names}

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
    package_data={"quantlab": ["py.typed", "*/*.pyi"]},
    install_requires=requirements("requirements"),
    extras_require=extras | {"all": sorted(set().union(*extras.values()))},
    entry_points={
        "console_scripts": ["quantlab = quantlab.cli:main"],
        "nbdev": ["quantlab = quantlab._modidx:d"],
    },
)
