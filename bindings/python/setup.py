"""Puts Kette's shared library into the package; README.md says where it is taken from."""
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # before setuptools 70.1
    from wheel.bdist_wheel import bdist_wheel

CHECKOUT = Path(__file__).resolve().parents[2]
BUILT = CHECKOUT / "build" / "release" / "libkette.so"


def find_library() -> Path:
    given = os.environ.get("KETTE_LIBRARY")
    if given:
        if not Path(given).is_file():
            raise SystemExit(f"KETTE_LIBRARY is {given}, which is no file")
        return Path(given)
    if not BUILT.is_file():
        if not (CHECKOUT / "CMakePresets.json").is_file():
            raise SystemExit("No shared library: set KETTE_LIBRARY to libkette.so, or install from a checkout of Kette")
        for command in (["cmake", "--preset", "release"], ["cmake", "--build", "--preset", "release"]):
            print("kette:", " ".join(command), flush=True)
            try:
                subprocess.run(command, cwd=CHECKOUT, check=True)
            except (OSError, subprocess.CalledProcessError) as e:
                raise SystemExit(f"Building Kette's library failed: {e}. Set KETTE_LIBRARY to one that is built.")
    if not BUILT.is_file():
        raise SystemExit(f"The build made no {BUILT}; set KETTE_LIBRARY to the shared library")
    return BUILT


class BuildWithLibrary(build_py):
    def run(self):
        super().run()
        if not getattr(self, "editable_mode", False):
            target = Path(self.build_lib) / "kette" / "libkette.so"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(find_library(), target)


class PlatformWheel(bdist_wheel):
    def get_tag(self):
        # ctypes: any Python 3, but one platform.
        return "py3", "none", super().get_tag()[2]


class BinaryDistribution(Distribution):
    def has_ext_modules(self):
        return True


with tempfile.TemporaryDirectory() as scratch:  # nothing is written into the checkout
    setup(
        distclass=BinaryDistribution,
        cmdclass={"build_py": BuildWithLibrary, "bdist_wheel": PlatformWheel},
        options={"build": {"build_base": scratch}, "egg_info": {"egg_base": scratch}},
    )
