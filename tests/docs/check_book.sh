#!/usr/bin/env bash
# Do the pages of the tree at $1 speak of files that exist? Every relative link of a page, every path that docs/ names in
# backquotes, every chapter's last line; and docs/README.md lists every page.
set -euo pipefail
cd "$1"
faults=0 checked=0
# A page without its fenced code.
prose() { awk '/^```/ { fenced = !fenced; next } !fenced' "$1"; }
fault() { echo "ERROR: $*"; faults=$((faults + 1)); }

for page in README.md docs/*.md; do
  folder=$(dirname "$page")
  while read -r link; do
    checked=$((checked + 1))
    [ -e "$folder/$link" ] || fault "$page links to $link, which does not exist"
  done < <(prose "$page" | grep -oE '\]\([^)#]+' | sed 's/^](//' | grep -vE '^[a-z]+:' || true)
  while read -r path; do
    checked=$((checked + 1))
    [ -e "$path" ] || fault "$page names $path, which does not exist"
  done < <(grep -oE '`(\./)?(tensor|autograd|nn|backends|dinomaly|tests|examples|scripts|docs)/[A-Za-z0-9_./-]+\.[a-z]+`' \
             "$page" | tr -d '`' | grep -v NAME || true)
done
chapters=0
for page in docs/[0-9][0-9]_*.md; do
  chapters=$((chapters + 1))
  grep -q '^Try: ' "$page" || fault "$page has nothing to try"
  sed -n '/^Ends at: /,$p' "$page" | grep -q '](\.\./' || fault "$page does not end at a file of the tree"
done
for page in docs/*.md; do
  [ "$page" = docs/README.md ] || grep -qF "]($(basename "$page"))" docs/README.md || fault "docs/README.md does not list $page"
done
[ "$checked" -ge 50 ] && [ "$chapters" -ge 14 ] || fault "only $checked links and $chapters chapters found"
echo "$chapters chapters, $checked links and paths, $faults faults"
[ "$faults" -eq 0 ]
