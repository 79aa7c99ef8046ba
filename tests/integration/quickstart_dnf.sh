#!/bin/bash
# tools/quickstart's way with packages, where it can be shown without a Fedora: PATH is a folder of links to this
# machine's tools, without apt-get, meson and ninja, and with a dnf that writes down how it was called and then "installs"
# by linking the real tools. It proves that the command is right in form, not that Fedora's packages have these names.
set -u
. "$(dirname "$0")/lib.sh"
command -v meson >/dev/null && command -v ninja >/dev/null || { skip "meson and ninja are not here"; bad "nothing to show"; finish; }
meson=$(command -v meson) ninja=$(command -v ninja)
mkdir "$T/bin" "$T/stub" "$T/copy"
IFS=: read -ra dirs <<<"$PATH"
for d in "${dirs[@]}"; do
  for f in "$d"/*; do
    case ${f##*/} in
      apt-get | dnf | meson | ninja | ninja-build | samu | sudo) ;;
      *) [[ -x $f && ! -e $T/bin/${f##*/} ]] && ln -s "$f" "$T/bin/${f##*/}" ;;
    esac
  done
done
(cd "$root" && tar -c --exclude='./build*' --exclude=./.git .) | tar -x -C "$T/copy"
cat >"$T/bin/dnf" <<STUB
#!/bin/bash
echo "dnf \$*" >>"$T/calls"
[[ -e $T/broken ]] && exit 1
ln -s "$meson" "$T/bin/meson"; ln -s "$ninja" "$T/bin/ninja"
STUB
chmod +x "$T/bin/dnf"
export PATH=$T/bin
quick() { "$T/copy/tools/quickstart" "$@" >"$T/out" 2>&1 </dev/null; }

quick --no-install true; status=$?
if ((status)) && [[ ! -e $T/calls ]] && grep -q 'dnf install -y .*meson.*ninja-build' "$T/out"; then ok "--no-install prints the command, installs nothing, fails"
else bad "--no-install: exit $status: $(tail -n 2 "$T/out")"; fi

touch "$T/broken"
quick --yes true; status=$?
if ((status)) && grep -q 'the installation failed' "$T/out"; then ok "a failing dnf is said"; else bad "failing dnf: exit $status: $(tail -n 2 "$T/out")"; fi
rm -f "$T/broken" "$T/calls"

if ((EUID == 0)) && command -v setpriv >/dev/null; then
  chmod -R a+rwX "$T"
  setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/tmp "$T/copy/tools/quickstart" true >"$T/out" 2>&1 </dev/null; status=$?
  if ((status)) && [[ ! -e $T/calls ]] && grep -q 'nothing was installed' "$T/out"; then ok "unprivileged it asks, and no answer is a no"
  else bad "unprivileged: exit $status: $(tail -n 2 "$T/out")"; fi
else skip "becoming unprivileged needs root and setpriv"; fi

if quick --yes true && [[ $(cat "$T/calls") == "dnf install -y "*gcc*meson*ninja-build* && -e $T/copy/build/libcgc.so && -x $T/copy/build/cgc ]]; then
  ok "--yes installs by dnf once and builds: $(cat "$T/calls")"
else bad "--yes: $(tail -n 5 "$T/out" | tr '\n' ' ')"; fi

rm -f "$T/calls"
start=$SECONDS
if quick true && [[ ! -e $T/calls ]] && ((SECONDS - start < 30)); then ok "the second run installs nothing and takes $((SECONDS - start)) s"
else bad "second run: $((SECONDS - start)) s: $(tail -n 3 "$T/out")"; fi

if ((EUID == 0)) && command -v setpriv >/dev/null; then
  chown -R 65534:65534 "$T/copy"
  if setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/tmp "$T/copy/tools/quickstart" echo works >"$T/out" 2>&1 </dev/null && grep -qx works "$T/out"; then
    ok "with the tools there it works unprivileged"
  else bad "unprivileged: $(tail -n 3 "$T/out")"; fi
fi
finish
