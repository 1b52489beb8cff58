#!/usr/bin/env python3
"""Checks every #include "room/..." below src/ and capi/ against the room table of docs/ARCHITECTURE.md.

usage: include_rooms.py PROJECT_ROOT"""
import pathlib
import re
import sys


def read_table(text):
    """The rows after the header `| room | may include |` as {room: names it may include}."""
    rooms, inside = {}, False
    for line in text.splitlines():
        cells = [c.strip(" `") for c in line.strip().strip("|").split("|")]
        if cells[:2] == ["room", "may include"]:
            inside = True
        elif inside and not line.lstrip().startswith("|"):
            break
        elif inside and not set(cells[0]) <= set("-: "):
            rooms[cells[0]] = set(re.findall(r"[a-z_]+(?:/[a-z_]+)*", re.sub(r"\([^)]*\)", "", cells[1])))
    return rooms


def main():
    root = pathlib.Path(sys.argv[1])
    documents = [p for p in (root / "docs/ARCHITECTURE.md", root / "ARCHITECTURE.md") if p.exists()]
    rooms = read_table(documents[0].read_text()) if documents else {}
    if not rooms:
        sys.exit("include_rooms: no table with the header '| room | may include |' in docs/ARCHITECTURE.md")
    problems, checked = [], 0
    for path in sorted([*root.glob("src/**/*"), *root.glob("capi/*")]):
        if path.suffix not in (".h", ".hpp", ".cpp", ".inc"):
            continue
        parts = path.relative_to(root).parts
        room = parts[1] if parts[0] == "src" else "capi"
        if room not in rooms:
            problems.append(f"{path.relative_to(root)}: the room '{room}' is not in the table")
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            include = re.match(r'\s*#\s*include\s+"([a-z_]+)/([^"]+)"', line)
            if include:
                checked += 1
                to, file = include.groups()
                parts_allowed = {to, f"{to}/{pathlib.PurePath(file).stem}"}
                if to in rooms and to != room and not parts_allowed & rooms[room]:
                    problems.append(f"{path.relative_to(root)}:{number}: {room} may not include {to}/{file}")
            if re.match(r'\s*#\s*include\s+[<"](oneapi/|dnnl)', line) and "onednn" not in parts and room != "capi":
                problems.append(f"{path.relative_to(root)}:{number}: oneDNN belongs in kernels/onednn alone")
    print("\n".join(problems) or f"{checked} includes, {len(rooms)} rooms: all as the table says")
    sys.exit(bool(problems) or checked == 0)


if __name__ == "__main__":
    main()
