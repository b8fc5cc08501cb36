"""Plants the faults of mutations.txt one at a time into a copy of the tree, builds, and runs the tests named there.

    mutate.sh            all faults; writes the table docs/mutations.md
    mutate.sh N [M ...]  only those; the page keeps what it says of the others

A fault that no test notices is a missing test. Exit status 1 if one survives, 2 if the list does not fit the sources.
The copy and its build stay in build-mutate/, so that the next run compiles little.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build-mutate"
TREE, BUILD, PAGE = WORK / "tree", WORK / "build", ROOT / "docs/mutations.md"
KEYS = ["file", "tests", "old", "new", "why"]
PAGE_HEAD = """# What the tests catch

`scripts/mutate.sh` plants the faults of `scripts/mutations.txt` into a copy of the tree, one at a time, and runs the
tests that the fault names. This table is its output: every fault with the first test cases that failed. A fault that
survives is a missing test, and the script then exits with status 1. If you change a formula, update its entry in the
list; if you add one, add an entry. The script stops at any text that no longer occurs exactly once.

| | file | fault | caught by |
|---|---|---|---|
"""


def stop(message):
    print(f"mutate: {message}", file=sys.stderr)
    sys.exit(2)


def read_faults():
    faults, fault = [], {}
    for number, line in enumerate((ROOT / "scripts/mutations.txt").read_text().splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        key, _, value = line.partition(":")
        if key != KEYS[len(fault)]:
            stop(f"mutations.txt:{number}: expected {KEYS[len(fault)]}, found {key}")
        fault[key] = value[1:]
        if len(fault) == len(KEYS):
            faults.append(fault)
            fault = {}
    for number, fault in enumerate(faults, 1):
        words = fault["tests"].split()
        fault["needs"] = [word.removeprefix("needs:") for word in words if word.startswith("needs:")]
        fault["tests"] = [word for word in words if not word.startswith("needs:")]
        for test in fault["tests"]:
            file = test.partition("/")[2] or "*"
            if not any((ROOT / "tests").rglob(f"{file}_test.cpp")):
                stop(f"fault {number} names a test that does not exist: {test}")
        path = ROOT / fault["file"]
        count = path.read_text().count(fault["old"]) if path.is_file() else 0
        if count != 1:
            stop(f"fault {number} occurs {count} times in {fault['file']}: {fault['old']}")
    return faults


def write(path, content):
    """Only if it differs: the build relies on modification times."""
    if not path.is_file() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def copy_tree():
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = [n for n in subprocess.check_output(listed, cwd=ROOT).decode().split("\0") if n and (ROOT / n).is_file()]
    for old in [p for p in TREE.rglob("*") if p.is_file() and str(p.relative_to(TREE)) not in set(names)]:
        old.unlink()
    for name in names:
        write(TREE / name, (ROOT / name).read_bytes())


def build(tests):
    programs = sorted({"test_" + test.split("/")[0] for test in tests})
    return subprocess.run(["ninja", "-C", BUILD, "-j", "2", *programs], capture_output=True, text=True)


def failed_cases(test):
    """Runs `folder` or `folder/file` of tests/; the names of its failed cases."""
    folder, _, file = test.partition("/")
    launcher = ["mpirun", "-n", "2"] if folder in ("mpi", "nccl_emulated") else []
    command = [*launcher, BUILD / "bin" / f"test_{folder}", "--no-colors=true", *([f"--source-file=*{file}_test.cpp"] if file else [])]
    # A fault must be caught without data that only some have.
    environment = os.environ | {"DINOMALY_SHARED": "/nonexistent", "OMPI_ALLOW_RUN_AS_ROOT": "1",
                                "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1"}
    try:
        run = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=300, env=environment)
    except subprocess.TimeoutExpired:
        return ["(does not end)"]
    if not re.search(r"test cases: +[1-9]", run.stdout) and run.returncode == 0:
        stop(f"no test case in {test}")
    cases, name = [], ""
    for line in run.stdout.splitlines():
        name = line.removeprefix("TEST CASE:").strip() if line.startswith("TEST CASE:") else name
        if " ERROR: " in line and name not in cases:
            cases.append(name)
    return cases or (["(ends early)"] if run.returncode else [])


def lacking(fault):
    """The flags that the fault needs and this processor does not have."""
    flags = Path("/proc/cpuinfo").read_text().split()
    return [need for need in fault["needs"] if not any(flag in flags for flag in need.split("|"))]


def try_fault(fault):
    if missing := lacking(fault):
        return f"NOT TRIED: this processor has no {', '.join(missing)}"
    path = TREE / fault["file"]
    original = path.read_text()
    path.write_text(original.replace(fault["old"], fault["new"]))
    try:
        if build(fault["tests"]).returncode:
            return "DOES NOT BUILD"
        caught = []
        for test in fault["tests"]:
            cases = failed_cases(test)
            more = f" and {len(cases) - 2} more" if len(cases) > 2 else ""
            caught += [f"{test}: {'; '.join(cases[:2])}{more}"] if cases else []
        return ". ".join(caught) or "SURVIVED"
    finally:
        path.write_text(original)


def known_results():
    """What the page says of each fault, by its file and words."""
    rows = re.findall(r"^\| \d+ \| `(.*?)` \| (.*) \| (.*) \|$", PAGE.read_text().replace("\\|", "\0"), re.M)
    return {(file, why.replace("\0", "|")): result.replace("\0", "|") for file, why, result in rows}


def write_page(faults, results):
    rows = []
    for number, fault in enumerate(faults, 1):
        result = results.get((fault["file"], fault["why"]), "NOT TRIED YET")
        cells = [str(number), f"`{fault['file']}`", fault["why"], result]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    PAGE.write_text(PAGE_HEAD + "\n".join(rows) + "\n")


def main():
    faults = read_faults()
    if not all(n.isdigit() and 1 <= int(n) <= len(faults) for n in sys.argv[1:]):
        stop(f"expected numbers from 1 to {len(faults)}")
    chosen = [int(n) for n in sys.argv[1:]] or range(1, len(faults) + 1)
    copy_tree()
    results = known_results()
    # Little optimisation, because building is most of the work; -w, because a fault may leave a variable unused.
    configure = ["cmake", "-G", "Ninja", "-S", TREE, "-B", BUILD, "-DDINOMALY_CUDA=OFF", "-DDINOMALY_NATIVE=ON",
                 "-DCMAKE_BUILD_TYPE=Debug",
                 "-DCMAKE_CXX_FLAGS_DEBUG=-O1 -DNDEBUG", "-DCMAKE_CXX_FLAGS=-w"]
    tests = sorted({test for n in chosen if not lacking(faults[n - 1]) for test in faults[n - 1]["tests"]})
    for step in [subprocess.run(configure, capture_output=True, text=True), build(tests)]:
        if step.returncode:
            stop("the tree does not build without a fault:\n" + (step.stdout + step.stderr)[-3000:])
    for test in tests:
        if cases := failed_cases(test):
            stop(f"{test} fails without a fault: {cases}")
    survived = not_tried = 0
    for number in chosen:
        fault = faults[number - 1]
        result = try_fault(fault)
        results[fault["file"], fault["why"]] = result
        write_page(faults, results)
        survived += result in ("SURVIVED", "DOES NOT BUILD")
        not_tried += result.startswith("NOT TRIED")
        print(f"{number:3}  {fault['file']}: {fault['why']}\n     {result}", flush=True)
    print(f"{len(chosen)} faults, {survived} survived, {not_tried} not tried")
    sys.exit(1 if survived else 0)


if __name__ == "__main__":
    main()
