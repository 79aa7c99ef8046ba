#!/bin/bash
# `meson install` puts every part where its reader looks for it, the installed parts find each other, and uninstall leaves
# nothing behind.
set -u
. "$(dirname "$0")/lib.sh"
# A build of its own, because the prefix is part of it; what is compiled is the library and the command only.
meson setup "$T/build" "$root" --prefix="$T/prefix" --buildtype=release -Dtests=false >"$T/log" 2>&1 &&
  meson install -C "$T/build" >>"$T/log" 2>&1 || { bad "meson install: $(tail -n 3 "$T/log" | tr '\n' ' ')"; finish; }
find_one() { find "$T/prefix" -path "*/$1" | head -n 1; }
for f in bin/cgc libcgc.so libcgc.so.0 include/cgc.h pkgconfig/cgc.pc man1/cgc.1 bash-completion/completions/cgc zsh/site-functions/_cgc; do
  [[ -s $(find_one "$f") ]] && ok "installed: $f" || bad "not installed: $f"
done
# Nothing but these: the static parts stay inside.
extra=$(find "$T/prefix" -name '*.a' -o -name '*.h' ! -name cgc.h)
[[ -z $extra ]] && ok "nothing internal is installed" || bad "installed by mistake: $extra"
readelf -d "$(find_one libcgc.so)" | grep -q 'SONAME.*\[libcgc.so.0\]' && ok "the soname is libcgc.so.0" || bad "soname: $(readelf -d "$(find_one libcgc.so)" | grep SONAME)"

rm -r "$T/build/libcgc.so"* # the installed command must not lean on the build folder
[[ $("$T/prefix/bin/cgc" run --mode=off -- echo served 2>&1) == served ]] && ok "the installed command finds its library" ||
  bad "cgc run: $("$T/prefix/bin/cgc" run -- echo served 2>&1 | head -n 1)"
mv "$T/prefix" "$T/moved"
[[ $("$T/moved/bin/cgc" run --mode=off -- echo served 2>&1) == served ]] && ok "also after the tree was moved" || bad "the moved command does not find its library"
mv "$T/moved" "$T/prefix"
ln -s "$T/prefix/bin/cgc" "$T/link"
[[ $("$T/link" run --mode=off -- echo served 2>&1) == served ]] && ok "also through a link" || bad "a link to the command does not find the library"

if command -v pkg-config >/dev/null; then
  printf '#include <cgc.h>\n#include <stdio.h>\nint main(void) { cgc_collect(); puts(cgc_version()); return 0; }\n' >"$T/user.c"
  flags=$(PKG_CONFIG_PATH=$(dirname "$(find_one pkgconfig/cgc.pc)") pkg-config --cflags --libs cgc)
  # shellcheck disable=SC2086 # several words are meant
  if "${CC:-cc}" "$T/user.c" -o "$T/user" $flags 2>"$T/err" &&
    [[ $(LD_LIBRARY_PATH=$(dirname "$(find_one libcgc.so)") "$T/user") == $("$T/prefix/bin/cgc" --version | sed -n 's/^cgc //p') ]]; then
    ok "a program compiled by pkg-config's flags runs"
  else bad "pkg-config user: $(head -n 2 "$T/err")"; fi
else skip "pkg-config is not installed"; fi

ninja -C "$T/build" uninstall >"$T/log" 2>&1 || bad "uninstall: $(tail -n 1 "$T/log")"
left=$(find "$T/prefix" ! -type d 2>/dev/null)
[[ -z $left ]] && ok "uninstall removes every file" || bad "left behind: $left"
finish
