"""Compare the instructions of the main kernels with those counted before: slower code fails, on a loaded machine too.

    instructions.py PROGRAM COUNTS.json --key "GNU 12.2.0 -O2" [--update]

PROGRAM is instructions.cpp; valgrind counts, so what other programs do has no effect. COUNTS.json has one table for each
key, a compiler with its version and flags. More than 3 % above the table fails, more than 3 % below is noted. --update
writes what was counted into the table. Exit 77: cannot be said here (no valgrind, no table for this compiler, no AVX2).
"""
import argparse
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

TOLERANCE = 0.03
SKIPPED = 77


def skip(why):
    print("SKIPPED:", why)
    sys.exit(SKIPPED)


def count(program):
    """{name: instructions} of the calls of kette_measured, in their order."""
    valgrind = shutil.which("valgrind") or skip("valgrind is not installed")
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "counts")
        command = [valgrind, "--tool=callgrind", "--toggle-collect=kette_measured", "--dump-after=kette_measured",
                   f"--callgrind-out-file={out}", program]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == SKIPPED:
            skip(done.stderr.strip().splitlines()[-1])
        if done.returncode != 0:
            sys.exit(f"{program} under valgrind: exit {done.returncode}\n{done.stderr}")
        names = done.stdout.splitlines()
        counts = []
        for part in range(1, len(names) + 1):
            text = open(f"{out}.{part}").read()
            counts.append(int(re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE).group(1)))
        if len(glob.glob(f"{out}.*")) < len(names) or 0 in counts or len(set(names)) != len(names):
            sys.exit(f"{len(names)} calls measured, counts {counts}")
        return dict(zip(names, counts))


def compare(found, expected):
    """Lines that fail, and lines to be noted."""
    failures, notes = [], []
    for name in sorted(found.keys() | expected.keys()):
        if name not in expected:
            failures.append(f"{name}: {found[name]} instructions, not in the table")
        elif name not in found:
            failures.append(f"{name}: in the table, and measured no more")
        else:
            ratio = found[name] / expected[name]
            line = f"{name}: {found[name]} instructions, {ratio:.3f} of the table's {expected[name]}"
            if ratio > 1 + TOLERANCE:
                failures.append(line)
            elif ratio < 1 - TOLERANCE:
                notes.append(line)
    return failures, notes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("table")
    parser.add_argument("--key", required=True)
    parser.add_argument("--update", action="store_true")
    options = parser.parse_args()
    with open(options.table) as file:
        tables = json.load(file)
    renew = "cmake --build FOLDER --target kette_instructions_update counts them anew"
    if options.key not in tables and not options.update:
        skip(f"no table for {options.key}, only for {', '.join(sorted(tables)) or 'none'}; {renew}")
    found = count(options.program)
    if options.update:
        tables[options.key] = found
        with open(options.table, "w") as file:
            json.dump(tables, file, indent=1)
            file.write("\n")
        print(f"{len(found)} counts for {options.key} written")
        return
    failures, notes = compare(found, tables[options.key])
    for line in notes:
        print("NOTE, fewer:", line)
    for line in failures:
        print("FAILED:", line)
    if failures:
        sys.exit(f"{len(failures)} of {len(found)} counts are not as before. Where that is meant, {renew}.")
    print(f"{len(found)} counts are as before, within {TOLERANCE:.0%}")


if __name__ == "__main__":
    main()
