#!/usr/bin/env python3
"""Checks the symbols of Kette's binaries with nm.

symbols.py --nm NM isa ARCHIVE          objects of the ISA folders define no weak or unique symbol: the linker could
                                        keep that copy, full of wide instructions, for the whole program
symbols.py --nm NM host FILE...         our objects call nothing that ends, changes or writes to the host
symbols.py --nm NM exported LIB NAMES   the shared library exports exactly the names of functions.def
symbols.py --nm NM static LIB NAMES     the static library's global symbols are those names too"""
import argparse
import pathlib
import re
import subprocess
import sys

# May call one of them all the same: on Linux setpriority sets one thread's nice value, and the pool sets its workers'.
EXCEPTIONS = {("thread_pool.cpp.o", "setpriority")}
# The process, its signals, environment, locale, streams: they belong to the host.
BANNED = set("""
    abort exit _exit _Exit quick_exit atexit at_quick_exit __assert_fail signal sigaction raise kill fork vfork system
    popen execve execvp getenv secure_getenv setenv unsetenv putenv setlocale uselocale
    printf __printf_chk vprintf puts putchar putc fputs fputc fprintf __fprintf_chk vfprintf perror stdout stderr
    longjmp siglongjmp mlockall setrlimit setpriority sched_setscheduler
    _ZSt4cout _ZSt4cerr _ZSt4clog _ZSt3cin _ZSt9terminatev""".split())
# What the compiler itself or an assertion in a build with assertions may call; and what fmt's print functions call, which
# every file that formats a message contains and none of ours uses.
TOLERATED = {"__assert_fail", "_ZSt9terminatev", "fprintf", "stderr"}


def symbols(nm, *arguments):
    """Lines of `nm -P -A` as (object, name, type). An argument may be a CMake list of files."""
    files = [part for argument in arguments for part in argument.split(";")]
    out = subprocess.run([nm, "-P", "-A", *files], check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        match = re.match(r"(.*): (\S+) (\S)(?: |$)", line)
        if match:
            yield match.groups()


def isa(nm, archive, *folders):
    problems, objects = [], set()
    for where, name, kind in symbols(nm, archive):
        member = re.search(r"\[([^\]]*)\]", where)
        path = member.group(1) if member else where
        if not any(path == f or path.endswith("/" + f) for f in folders):
            continue
        objects.add(path)
        if kind in "WVu":
            problems.append(f"{path}: {name} is weak or unique ({kind})")
    if folders and not objects:
        problems.append("none of the ISA objects is in the archive")
    return problems, f"{len(objects)} objects of ISA folders, no weak symbol"


def object_of(where):
    member = re.search(r"\[([^\]]*)\]", where)
    return pathlib.PurePath(member.group(1) if member else where).name


def host(nm, *files):
    found = {(where, name) for file in files for where, name, kind in symbols(nm, "-u", file)
             if name.split("@")[0] in BANNED - TOLERATED and (object_of(where), name) not in EXCEPTIONS}
    return [f"{where}: calls {name}" for where, name in sorted(found)], f"{len(files)} files, no banned call"


def read_names(path):
    return {f"kette_{name}" for name in re.findall(r"^KETTE_FUNCTION\((\w+)\)", pathlib.Path(path).read_text(), re.M)}


def compare(found, expected):
    problems = [f"defined but not in functions.def: {name}" for name in sorted(found - expected)]
    problems += [f"in functions.def but not defined: {name}" for name in sorted(expected - found)]
    return problems, f"{len(found)} functions, all as functions.def says"


def exported(nm, library, names):
    found = {name.split("@")[0] for _, name, kind in symbols(nm, "-D", "--defined-only", library)
             if kind != "A"}  # A: the version node itself
    return compare(found, read_names(names))


def static(nm, library, names):
    # Weak definitions are the C++ library's templates (std::), which any program may share.
    found = {name for _, name, kind in symbols(nm, "-g", "--defined-only", library) if kind not in "WVu"}
    return compare(found, read_names(names))


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--nm", default="nm")
    parser.add_argument("check", choices=["isa", "host", "exported", "static"])
    parser.add_argument("arguments", nargs="+")
    options = parser.parse_args()
    problems, summary = globals()[options.check](options.nm, *options.arguments)
    print("\n".join(problems) or summary)
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
