"""Lets PyPI's torch for Linux start without the GPU libraries it is linked against.

That wheel names fifteen NVIDIA libraries (over 3 GB) which must exist for it to load, though a CPU
never calls them. This writes empty-handed stand-ins of a few KB beside torch's own libraries: every
function there answers 100, which is CUDA's own code for "no device".

Usage: torch_without_cuda.py SITE_PACKAGES
"""

import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

NO_DEVICE = 100
FOREIGN_LIBRARY = re.compile(r"lib(cu|nv|nccl)")
FOREIGN_FUNCTION = re.compile(r"(__cuda|cu|nv|nccl)")


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def read_symbols(libraries):
    """Returns the missing symbols as {name: versions} and the set of those defined."""
    missing, defined = defaultdict(set), set()
    for library in libraries:
        for line in output_of("nm", "-D", str(library)).splitlines():
            kind, symbol = line.split()[-2:]
            name, _, version = symbol.partition("@")
            if kind == "U":
                missing[name].add(version)
            else:
                defined.add(name)
    return missing, defined


def read_needs(libraries):
    """Returns the library file names needed, and {file name: symbol versions asked of it}."""
    needed, versions = set(), defaultdict(set)
    for library in libraries:
        needed |= set(re.findall(r"NEEDED.*\[(.*)\]", output_of("readelf", "-dW", str(library))))
        file = None
        for line in output_of("readelf", "-VW", str(library)).splitlines():
            if found := re.search(r"Version: \d+\s+File: (\S+)", line):
                file = found[1]
            elif file and (found := re.search(r"Name: (\S+)\s+Flags", line)):
                versions[file].add(found[1])
    return needed, versions


def compile_stub(path, functions, versions):
    source = "".join(f"int {name}(void) {{ return {NO_DEVICE}; }}\n" for name in functions)
    command = ["cc", "-w", "-shared", "-fPIC", "-xc", "-", "-o", str(path), f"-Wl,-soname,{path.name}"]
    with tempfile.NamedTemporaryFile("w", suffix=".map") as script:
        for version, names in versions.items():
            script.write(f"{version} {{ global: {''.join(f'{name}; ' for name in names)}}};\n")
        script.flush()
        if versions:
            command.append(f"-Wl,--version-script={script.name}")
        subprocess.run(command, input=source, text=True, check=True)


def main(site_packages):
    folder = site_packages / "torch" / "lib"
    if not (folder / "libtorch_cuda.so").exists():
        return
    libraries = sorted(folder.glob("lib*.so"))
    missing, defined = read_symbols(libraries)
    needed, asked = read_needs(libraries)
    present = {library.name for library in libraries}
    unversioned = sorted(
        name
        for name, versions in missing.items()
        if versions == {""} and name not in defined and FOREIGN_FUNCTION.match(name)
    )
    for file in sorted(needed - present):
        if FOREIGN_LIBRARY.match(file):
            versions = {
                version: sorted(name for name, wanted in missing.items() if version in wanted)
                for version in sorted(asked[file])
            }
            functions = [name for names in versions.values() for name in names]
            # Which library an unversioned function belongs to is not recorded; any one will do.
            functions += unversioned if file.startswith("libcudart") else []
            compile_stub(folder / file, functions, versions)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
