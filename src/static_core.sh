#!/bin/sh
# static_core.sh ARCHIVE OUTPUT: one object of all rooms in which only what cgc.h declares is a global name, so that a program
# which links the core statically meets no name of ours but cgc_*. Internal names are hidden; hidden ones are made local.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${LD:-ld}" -r --whole-archive "$1" -o "$work/core.o"
"${OBJCOPY:-objcopy}" --localize-hidden --wildcard --localize-symbol='__lsan_*' "$work/core.o"
rm -f "$2"
"${AR:-ar}" rcs "$2" "$work/core.o"
