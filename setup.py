"""Building the package: what pyproject.toml cannot say.

Before the package's files are gathered, npm fetches the runtime that `briskseg export --to web`
puts into its page. Without npm or network the package is built all the same, without it.
"""

import importlib.util
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

FILE = Path(__file__).parent / "src" / "briskseg" / "export" / "web_runtime.py"


class BuildWithRuntime(build_py):
    def run(self) -> None:
        spec = importlib.util.spec_from_file_location("web_runtime", FILE)
        web_runtime = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(web_runtime)
        if wrong := web_runtime.fetch():
            print(
                f"building without what `briskseg export --to web` needs: {wrong}", file=sys.stderr
            )
        super().run()


setup(cmdclass={"build_py": BuildWithRuntime})
