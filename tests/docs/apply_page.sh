#!/usr/bin/env bash
# Does what a page tells its reader: apply_page.sh PAGE TREE. An edit is a line of the page that reads
#   In `FILE`, after the line `LINE`        (or: before the line)
# and the next block fenced as ```cpp. LINE, blanks at its ends aside, must be exactly one line of TREE/FILE.
# Prints one line an edit. A page without edits, or with code that belongs to none, is an error. So is one whose line
#   Files edited: N
# is missing or wrong.
set -euo pipefail
[ $# -eq 2 ] || { echo "apply_page: expected PAGE TREE" >&2; exit 2; }
awk -v tree="$2" '
  function fail(message) { print FILENAME ":" FNR ": " message > "/dev/stderr"; failed = 1; exit 1 }
  function trimmed(text) { gsub(/^[ \t]+|[ \t]+$/, "", text); return text }
  function apply(  path, line, text, found, status) {
    path = tree "/" file
    while ((status = (getline line < path)) > 0) {
      if (trimmed(line) != anchor) { text = text line "\n"; continue }
      found++
      text = text (before ? block line "\n" : line "\n" block)
    }
    if (status < 0) fail("cannot read " path)
    close(path)
    if (found != 1) fail(file " has " found + 0 " lines that read: " anchor)
    printf "%s", text > path
    close(path)
    print file ": " (before ? "before " : "after ") anchor
    edits++
    if (!(file in files)) { files[file]; count++ }
  }
  inside && /^```$/ { inside = 0; apply(); anchor = ""; next }
  inside { block = block $0 "\n"; next }
  /^```cpp$/ { if (anchor == "") fail("code without a place"); inside = 1; block = ""; next }
  /^In `[^`]+`, (after|before) the line `[^`]+`$/ {
    if (anchor != "") fail("no code for the place before this one")
    split($0, part, "`"); file = part[2]; anchor = trimmed(part[4]); before = part[3] ~ /before/
  }
  /^Files edited: [0-9]+$/ { stated = $3 }
  END { if (failed) exit 1; if (inside || anchor != "") fail("the last edit has no end"); if (!edits) fail("no edits")
        if (stated != count) fail("says it edits \"" stated "\" files and edits " count) }
' "$1"
