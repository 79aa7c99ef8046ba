#!/bin/bash
# The leak zoo: what reports say of programs whose leaks are known to the block. No false alarm, no miss, each at its place.
#
# OPTIONS=a=b:c=d adds options, ONLY=regex chooses programs.
set -u
. "$(dirname "$0")/lib.sh"
is_cgc || { skip "leak zoo: $LIB has no collector"; finish; }
command -v python3 >/dev/null || { skip "leak zoo: python3 is not installed"; finish; }
zoo=$root/tests/zoo/leaks pairs=()

for source in "$zoo"/*.c "$zoo"/*.cc; do
  name=$(basename "${source%.*}")
  grep -q '^// expect' "$source" || continue
  built=$PROGRAMS/tests/zoo/leaks/leak_$name
  if [[ -x $built ]]; then pairs+=("$source=$built")
  else skip "$name was not built"; fi
done
# Rust is no package that tests ask for: where there is none, or one before 1.70, nothing is missing.
rust=$(rustc --version 2>/dev/null | cut -d' ' -f2)
for source in "$zoo"/*.rs; do
  name=$(basename "${source%.rs}")
  if [[ -z $rust || $(printf '%s\n' 1.70 "$rust" | sort -V | head -n 1) != 1.70 ]]; then echo "note  $name: no rustc of 1.70 or later"
  elif rustc --edition 2021 -O -C force-frame-pointers=no -o "$T/leak_$name" "$source" >"$T/rustc" 2>&1; then pairs+=("$source=$T/leak_$name")
  else bad "$name: $(grep -m 1 error "$T/rustc")"; fi
done

cgc=$PROGRAMS/cgc
[[ -x $cgc ]] || cgc=
python3 "$zoo/check.py" --lib "$LIB" --cgc "$cgc" --work "$T" --options "${OPTIONS:-}" --only "${ONLY:-}" "${pairs[@]}" >"$T/out" 2>&1
while IFS= read -r line; do
  case $line in
    'ok    '*) ok "${line#ok    }" ;;
    'FAIL  '*) bad "${line#FAIL  }" ;;
    *' passed, '*) ;;
    *) bad "$line" ;;
  esac
done <"$T/out"
finish
