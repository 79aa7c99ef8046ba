#!/bin/sh
# What libcgc.so exports is what preload/cgc.map lists: nothing more, nothing less.  exports.sh LIBRARY
# (A library that exports no malloc at all does nothing, and silently.)
set -u
set -- "${1:-${LIB:?exports.sh LIBRARY, or LIB=}}"
map=$(cd "$(dirname "$0")/../../preload" && pwd)/cgc.map
work=$(mktemp -d)
passed=0 failed=0
sed -n '/global:/,/local:/p' "$map" | sed 's/global:\|local://g' | tr ';' '\n' | tr -d ' \t' | grep . | grep -v '\*' | sort >"$work/listed"
nm -D --defined-only "$1" | awk '{ print $3 }' | sed 's/@.*//' | grep -v '^cgc_' | sort -u >"$work/exported"
check() {
	if [ -z "$2" ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $1: $2"; fi
}
check "listed but not exported" "$(comm -23 "$work/listed" "$work/exported" | tr '\n' ' ')"
check "exported but not listed" "$(comm -13 "$work/listed" "$work/exported" | tr '\n' ' ')"
check "bound at load time (-z now)" "$(readelf -d "$1" | grep -q 'BIND_NOW\|Flags:.*NOW' || echo no)"
check "never unloaded (-z nodelete)" "$(readelf -d "$1" | grep -q NODELETE || echo no)"
check "has a soname" "$(readelf -d "$1" | grep -q 'SONAME.*libcgc.so' || echo no)"
core=$(dirname "$1")/libcgc-core.a
check "the static core has cgc_ names only" "$(nm -g --defined-only "$core" 2>&1 | awk 'NF == 3 && $3 !~ /^cgc_/ || /No such file/ { print $NF }' | head -n 5 | tr '\n' ' ')"
check "the static core has what cgc.h declares" "$(nm -g --defined-only "$core" 2>/dev/null | grep -q cgc_collect || echo no)"
rm -rf "$work"
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
