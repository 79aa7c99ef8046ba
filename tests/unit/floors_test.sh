#!/usr/bin/env bash
# The house: a file includes its own floor or lower ones, never upward. One floor per concern keeps the heap usable
# without a collector, and the collector without a report. Usage: floors_test.sh [SOURCE_ROOT]
set -u
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
root=${1:-$(cd "$here/../.." && pwd)}
passed=0 failed=0

floor_of() { # by folder; 0: not one of the house
	case $1 in
	base | os) echo 1 ;;
	heap | backtrace) echo 2 ;;
	threads | mark) echo 3 ;;
	roots) echo 4 ;;
	cycle) echo 5 ;;
	report) echo 6 ;;
	control) echo 7 ;;
	api) echo 8 ;;
	preload) echo 9 ;;
	*) echo 0 ;;
	esac
}

# Prints "file:line folder target" for each quoted or bracketed include below the given folders of $1, room of the file first.
includes() { # root
	(cd "$1" && find src preload tools -type f \( -name '*.[ch]' -o -name '*.inc' -o -name '*.S' \) 2>/dev/null | sort |
		xargs -r grep -HnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*["<]' /dev/null |
		sed -nE 's|^([^:]+):([0-9]+):[[:space:]]*#[[:space:]]*include[[:space:]]*["<]([^">]+)[">].*|\1 \2 \3|p')
}

# Every offence of the tree under $1, one a line.
offences() { # root
	includes "$1" | while read -r file line target; do
		case $target in
		*.c) echo "$file:$line includes $target: a source file is not a face"; continue ;;
		*..*) echo "$file:$line includes $target: by a path that hides its floor"; continue ;;
		esac
		first=${file%%/*}
		to=${target%%/*}
		[ "$to" = "$target" ] && continue # a neighbour in the same folder, cgc.h or a system header
		above=$(floor_of "$to")
		[ "$to" = src ] && echo "$file:$line includes $target: faces are named from src/ on"
		[ "$above" -eq 0 ] && continue
		case $first in
		src)
			rest=${file#src/}
			own=$(floor_of "${rest%%/*}")
			[ "$own" -eq 0 ] && { echo "$file:$line: src/${rest%%/*} stands on no floor"; continue; }
			[ "$above" -gt "$own" ] && echo "$file:$line includes $target: floor $above from floor $own"
			;;
		preload) : ;; # the roof sees everything
		tools)
			case $target in
			base/* | report/snapshot*.h) : ;;
			*) echo "$file:$line includes $target: tools/ stands on base/ and the snapshot file's header" ;;
			esac
			;;
		esac
	done
}

claim() { # description, expected (0 or 1 offences), root
	local found
	found=$(offences "$3")
	if { [ "$2" -eq 0 ] && [ -z "$found" ]; } || { [ "$2" -ne 0 ] && [ "$(printf '%s\n' "$found" | grep -c .)" -eq "$2" ]; }; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf 'FAILED: %s\n%s\n' "$1" "${found:-  (nothing found)}"
	fi
}

# The test itself must be able to fail: one planted offence a tree, each found, and a clean tree where none is.
planted=$(mktemp -d) || exit 1
trap 'rm -rf "$planted"' EXIT
plant() { # name, file, include line
	mkdir -p "$planted/$1/$(dirname "$2")"
	printf '%s\n' "$3" >>"$planted/$1/$2"
}
plant clean src/heap/a.c '#include "base/bits.h"'
plant clean src/heap/a.c '#include "heap/heap.h"'
plant clean src/heap/a.c '#include <stdint.h>'
plant clean src/heap/a.c '#include <sys/mman.h>'
plant clean src/mark/a.c '#include "threads/threads.h"'
plant clean preload/a.c '#include "cycle/cycle.h"'
plant clean tools/cgc/a.c '#include "base/options.h"'
plant clean tools/cgc/a.c '#include "local.h"'
claim 'a clean tree has no offence' 0 "$planted/clean"
plant up src/heap/a.c '#include "cycle/cycle.h"'
claim 'heap including cycle is found' 1 "$planted/up"
plant os src/base/a.h '  #  include "heap/heap.h" /* spaces */'
claim 'base including heap is found, blanks or not' 1 "$planted/os"
plant roof src/api/a.c '#include "preload/shim.h"'
claim 'src including preload is found' 1 "$planted/roof"
plant tool tools/cgc/a.c '#include "heap/heap.h"'
claim 'tools including heap is found' 1 "$planted/tool"
plant angle src/roots/a.c '#include <cycle/cycle.h>'
claim 'angle brackets do not hide it' 1 "$planted/angle"
plant dots src/heap/a.c '#include "../cycle/cycle.h"'
claim 'a path with dots is found' 1 "$planted/dots"
plant source src/heap/a.c '#include "free.c"'
claim 'an included source file is found' 1 "$planted/source"
plant stray src/misc/a.c '#include "base/bits.h"'
claim 'a room without a floor is found' 1 "$planted/stray"

# And the house as it stands.
count=$(includes "$root" | wc -l)
if [ "$count" -lt 10 ]; then
	echo "FAILED: only $count includes found under $root: wrong folder?"
	failed=$((failed + 1))
else
	claim "no include of this house runs upward ($count looked at)" 0 "$root"
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
