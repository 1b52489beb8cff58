"""The Python package beside its C header: versions, layouts, exceptions."""

import ctypes
import os
import subprocess
import sys
import unittest

import kette
from kette import _library
from support import HERE


class Binding(unittest.TestCase):
    def test_versions_agree(self):
        self.assertEqual(".".join(map(str, kette.library_version())), kette.__version__)

    def test_structs_are_those_of_the_header(self):
        # The C compiler says the same of the header: capi/layout_test.
        layout = (HERE.parents[1] / "capi" / "layout.txt").read_text().splitlines()
        for struct in _library.STRUCTS:
            ours = [f"{struct.c_name} {ctypes.sizeof(struct)}"]
            for name, *_ in struct._fields_:
                field = getattr(struct, name)
                ours.append(f"{struct.c_name}.{name} {field.offset} {field.size}")
            told = [line for line in layout if line.split(" ")[0].split(".")[0] == struct.c_name]
            self.assertEqual(ours, told)

    def test_import_is_silent_and_needs_a_library(self):
        def run(library):
            return subprocess.run(
                [sys.executable, "-c", "import kette, sys; assert 'numpy' not in sys.modules"],
                env={**os.environ, "KETTE_LIBRARY": library},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )

        good = run(_library.lib._name)
        self.assertEqual((good.returncode, good.stdout, good.stderr), (0, "", ""))
        bad = run("/no/such/libkette.so")
        self.assertEqual(bad.returncode, 1)
        self.assertIn("KETTE_LIBRARY", bad.stderr)

    def test_every_status_has_its_exception(self):
        for code in range(-21, 0):
            error = _library.error_of(code, "m", 3)
            self.assertIsNot(type(error), kette.KetteError)
            self.assertEqual((error.code, error.os_code, str(error)), (code, 3, "m"))
            self.assertTrue(_library.lib.kette_status_name(code).startswith(b"KETTE_E_"))
        self.assertEqual(_library.error_of(-99, "new").code, -99)


if __name__ == "__main__":
    unittest.main()
