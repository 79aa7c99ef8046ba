#!/bin/bash
# The table of options is the only list: the man page names each with the values and default that `cgc help options`
# prints, and completion offers them all.
set -u
. "$(dirname "$0")/lib.sh"
cgc=$PROGRAMS/cgc
"$cgc" help options | sed -nE 's/^  ([a-z_]+)=(\S+)  \(default (.*)\)$/\1=\2 (\3)/p' >"$T/table"
sed -n '/options: begin/,/options: end/p' "$root/tools/man/cgc.1" |
  sed -nE '/^\.BR /{s/^\.BR //; s/"//g; s/ *([=|]) */\1/g; s/ +\(/ (/; p}' >"$T/manual"

[[ -s $T/table ]] && ok "the table has $(wc -l <"$T/table") options" || bad "no table was printed"
if diff "$T/table" "$T/manual" >"$T/diff"; then ok "the man page lists the same names, values and defaults"
else bad "the man page differs: $(head -n 5 "$T/diff" | tr '\n' ' ')"; fi

if command -v mandoc >/dev/null; then
  if mandoc -T lint -W error "$root/tools/man/cgc.1" >"$T/lint" 2>&1; then ok "the man page has no mandoc errors"; else bad "$(head -n 1 "$T/lint")"; fi
else skip "mandoc is not installed"; fi

# Completion in a shell of its own, with this cgc in PATH.
complete_words() { # the words of a command line, the last one being completed
  PATH=$PROGRAMS:$PATH bash --norc -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); compopt() { :; }; _cgc; printf "%s\n" "${COMPREPLY[@]}"' \
    _ "$root/tools/completions/cgc.bash" "$@" | sort
}
offered=$(complete_words cgc run --)
missing=$(sed 's/=.*//' "$T/table" | while read -r n; do grep -qx -- "--$n=" <<<"$offered" || echo "$n"; done)
[[ -z $missing ]] && ok "bash offers every option" || bad "bash does not offer: $missing"
[[ $(complete_words cgc run --mode = re) == report ]] && ok "bash completes values" || bad "--mode=re: $(complete_words cgc run --mode = re)"
[[ $(complete_words cgc ru) == run ]] && ok "bash completes commands" || bad "cgc ru: $(complete_words cgc ru)"
# The commands that read reports: what --help lists is in the man page, and completion offers it.
for command in leaks show why snapshot diff; do
  "$cgc" "$command" --help | sed -nE 's/^  (--[a-z-]+=?[^ ]*) .*/\1/p' | grep -vx -- '--help' | sort >"$T/table"
  sed -n "/^\.\\\\\" $command: begin/,/^\.\\\\\" $command: end/p" "$root/tools/man/cgc.1" | sed -nE '/^\.B[RI]* \\-\\-/{s/^\.B[RI]* //; s/\\-/-/g; s/ *([=|]) */\1/g; s/= /=/; p}' | sort >"$T/manual"
  if diff "$T/table" "$T/manual" >"$T/diff"; then ok "the man page has the $(wc -l <"$T/table") options of cgc $command"
  else bad "cgc $command in the man page: $(head -n 5 "$T/diff" | tr '\n' ' ')"; fi
  [[ $(complete_words cgc "$command" -- | tr -d ' ' | sed 's/=$//') == $({ sed 's/=.*//' "$T/table"; echo --help; } | sort) ]] && ok "bash offers them" || bad "bash, cgc $command: $(complete_words cgc "$command" -- | tr '\n' ' ')"
  grep -q "^  cgc $command " <("$cgc" help) && ok "cgc help names $command" || bad "cgc help does not name $command"
  cmp -s <("$cgc" help "$command") <("$cgc" "$command" --help) && ok "cgc help $command" || bad "cgc help $command differs from --help"
done
[[ $(complete_words cgc leaks --format = l) == lsan ]] && ok "bash completes values of commands" || bad "cgc leaks --format=l: $(complete_words cgc leaks --format = l)"
(cd "$T" && : >a.cgc && [[ $(complete_words cgc leaks a.c) == a.cgc ]]) && ok "bash completes files" || bad "cgc leaks a.c: $(cd "$T" && complete_words cgc leaks a.c)"
if command -v zsh >/dev/null; then
  zsh -n "$root/tools/completions/_cgc" && ok "zsh reads its completion" || bad "zsh does not read its completion"
else skip "zsh is not installed"; fi
finish
