#!/bin/bash
# `cgc audit`: the verdict of programs that hide their pointers, each in another way, and of one that does not; what becomes of
# status, output, options and children; and sites=1 in collect.
set -u
. "$(dirname "$0")/lib.sh"
is_cgc || { skip "audit: $LIB has no collector"; finish; }
cgc=$PROGRAMS/cgc
unset CGC_OPTIONS LD_PRELOAD
tricks=$(program tricks)
mkdir "$T/tmp"
export TMPDIR=$T/tmp

# audited ARGUMENTS...: runs cgc audit; status, stdout and stderr.
audited() { status=0; plain 60 "$cgc" audit "$@" >"$T/out" 2>"$T/err" </dev/null || status=$?; }
# within FUNCTION OFFSET: is a program's offset inside the function?
within() {
  nm -S "$tricks" | while read -r start size _ name; do
    [[ $name == "$1" ]] && (($2 >= 0x$start && $2 <= 0x$start + 0x$size)) && echo yes
  done | grep -q yes
}

# Both stacks of the first place, with names, from the innermost frame to main.
both_stacks() {
  awk '/^  [0-9]+ blocks? /{ n++ } n == 1 && /^    (allocated by|free)$/{ part = $1 } n == 1 && /^      /{ seen[part] = seen[part] " " $1 }
    END { exit !(seen["allocated"] ~ /^ make_block make_.*main( |$)/ && seen["free"] ~ /^ drop_block .*main( |$)/) }' "$T/err" && ! grep -q '^      [^ ]*@' "$T/err"
}

# -- ten tricks, each with its sites --
# What the search may guess is a guess; these are the ones that it must get right.
declare -A reason=([xor_list]='a link of an xor list' [complement]='kept as its complement' [before]='64 bytes before the block'
  [base64]='base64' [tagged]='tagged in its high bits (0x5a5a)' [rotated]='rotated by 24 bits')
caught=0
for trick in xor_list complement file compressed before past base64 pipe tagged rotated; do
  arguments=("$trick") options=()
  if [[ $trick == pipe ]] && "$cgc" help options | grep -q '^  inflight='; then options=(--inflight=1) arguments+=(2.5); fi
  audited ${options[@]+"${options[@]}"} -- "$tricks" "${arguments[@]}"
  line=$(grep -E "^  [0-9]+ blocks? of [0-9]+ bytes, allocated at .*tricks\+0x" "$T/err" | head -n 1)
  made=$(sed -nE 's/.*allocated at [^ ]*\+(0x[0-9a-f]+),.*/\1/p' <<<"$line") freed=$(sed -nE 's/.* to free at [^ ]*\+(0x[0-9a-f]+):.*/\1/p' <<<"$line")
  if ((status != 0)) || [[ $(cat "$T/out") != "$trick: 0 blocks damaged" ]]; then bad "$trick: exit $status: $(head -n 3 "$T/out" "$T/err")"
  elif ! grep -q '^cgc: audit: not safe: [0-9]' "$T/err"; then bad "$trick: not caught: $(tail -n 1 "$T/err")"
  elif [[ -z $made || -z $freed ]] || ! within make_block "$made" || ! within drop_block "$freed"; then bad "$trick: its sites are not named: $line"
  elif ! both_stacks; then bad "$trick: its stacks are not shown: $(cat "$T/err")"
  elif [[ -n ${reason[$trick]:-} && $line != *"likely "*"${reason[$trick]}"* ]]; then bad "$trick: the reason is another: $line"
  else caught=$((caught + 1)); ok "$trick: ${line##*: }"; fi
done
((caught == 10)) && ok "10 of 10 tricks are caught" || bad "$caught of 10 tricks are caught"
# A page that no child inherits is a root like any other while the marker runs inside the stop; without that it must be caught.
audited -- "$tricks" dontfork
if ((status == 0)) && grep -qE '^cgc: audit: (safe|not safe): ' "$T/err"; then ok "dontfork: $(grep -oE 'safe: .*|not safe: .*' "$T/err" | head -n 1)"
else bad "dontfork: exit $status: $(cat "$T/err")"; fi

# -- verdicts --
audited -- "$tricks" clean
((status == 0)) && grep -qE '^cgc: audit: safe: 0 contradictions in [0-9]+,[0-9]{3} judgements over [0-9]+ cycles$' "$T/err" \
  && ok "clean: $(cat "$T/err")" || bad "clean: exit $status: $(cat "$T/err")"
audited -- true
((status == 0)) && grep -q '^cgc: audit: not enough evidence: .*run it longer' "$T/err" && ok "true: not enough evidence" || bad "true: $(cat "$T/err")"
audited --stress=10 -- "$tricks" clean
judged=$(sed -nE 's/.* in ([0-9,]+) judgements.*/\1/p' "$T/err" | tr -d ,)
((${judged:-0} > 100000)) && ok "stress=10: $judged judgements" || bad "stress=10: $(cat "$T/err")"

# -- status, options, children --
audited --exitcode=23 -- "$tricks" tagged
((status == 23)) && ok "exitcode=23 when pointers are hidden" || bad "exitcode=23: $status"
audited --exitcode=23 -- sh -c 'exit 7'
((status == 7)) && ok "the program's status passes" || bad "status 7 became $status"
# Only the last status is replaced: a child's is seen by its parent as it was.
audited --exitcode=23 -- sh -c '"$1" tagged || echo "child: $?"; exit 3' - "$tricks"
((status == 23)) && ! grep -q child: "$T/out" && ok "children keep their status" || bad "children: $status $(cat "$T/out")"
audited -- sh -c '"$1" clean; "$1" rotated; exit 5' - "$tricks"
((status == 5)) && grep -qE 'not safe: [0-9]+ contradictions in [0-9,]+ judgements over [0-9]+ cycles of 3 processes' <(tail -n 1 "$T/err") \
  && ok "processes are summed up" || bad "summed up: exit $status: $(tail -n 1 "$T/err")"
audited --log_path="$T/log.%p" -- "$tricks" tagged
[[ $(cat "$T"/log.* 2>/dev/null) == *"not safe"*"likely tagged"* && $(wc -l <"$T/err") == 1 ]] && ok "log_path gets the lines" || bad "log_path: $(cat "$T/err")"
rm -f "$T"/log.*
{ audited -- sh -c 'kill -TERM $$'; } 2>/dev/null
((status == 143)) && grep -q 'no process came to a verdict' "$T/err" && ok "a signal passes" || bad "SIGTERM: $status: $(cat "$T/err")"
"$cgc" audit -- sh -c 'echo up; exec sleep 30' >"$T/out" 2>"$T/err" & pid=$!
for _ in $(seq 200); do grep -q up "$T/out" && break; sleep 0.1; done
kill -TERM $pid; wait $pid 2>/dev/null; status=$?
((status == 143)) && ok "a signal sent to cgc reaches the program" || bad "TERM to cgc: $status"
audited -- sh -c '"$1" tagged & wait; exec "$2" -c "exec true"' - "$tricks" "$(command -v bash)"
((status == 0)) && tail -n 1 "$T/err" | grep -q 'not safe' && ok "exec loses no contradiction of others" || bad "exec: $status: $(cat "$T/err")"
{ audited -- "$tricks" killed; } 2>/dev/null
((status == 137)) && grep -q 'not safe: 1 contradiction ' "$T/err" && ok "who is killed after a contradiction is not safe" || bad "killed: $status: $(cat "$T/err")"
audited --mode=collect -- true
((status == 2)) && grep -q 'mode=audit' "$T/err" && ok "another mode is refused" || bad "mode=collect: $status"
audited -- no-such-program-anywhere
((status == 127)) && ok "refusals are those of run" || bad "no program: $status"
[[ -z $(ls "$TMPDIR") ]] && ok "no folder is left" || bad "left: $(ls "$TMPDIR")"
# A forked child that did nothing stays silent; one that frees what its parent lost speaks.
under 20 mode=audit bash -c '(true); :' >"$T/out" 2>"$T/err"
[[ $(grep -c 'audit: ' "$T/err") == 1 ]] && ok "children of fork that did little are silent" || bad "fork: $(cat "$T/err")"
under 30 mode=audit:exitcode=9 "$tricks" complement >"$T/out" 2>"$T/err"; status=$?
((status == 9)) && ok "cgc run --mode=audit --exitcode" || bad "exitcode by the library: $status"

# -- audit=touch: uses that are neither free nor realloc --
for how in read write syscall; do
  audited --audit=touch -- "$tricks" $how
  line=$(grep -E '^  [0-9]+ pages? with blocks of [0-9]+ bytes, allocated at .*judged lost, then read or written: likely kept as its complement' "$T/err")
  made=$(sed -nE 's/.*allocated at [^ ]*\+(0x[0-9a-f]+),.*/\1/p' <<<"$line")
  ((status == 0)) && [[ $(cat "$T/out") == "$how: 0 blocks damaged" && -n $made ]] && within make_pages "$made" \
    && ok "touch: $how is seen, and works" || bad "touch: $how: exit $status: $(cat "$T/out" "$T/err")"
done
audited --audit=touch --stress=50 -- "$tricks" untouched
((status == 0)) && grep -q '^cgc: audit: safe: 0 contradictions' "$T/err" && ok "touch: what is not used is not counted: $(grep -oE '[0-9,]+ cycles' "$T/err")" \
  || bad "touch: untouched: exit $status: $(cat "$T/err")"
audited --audit=touch --stress=50 -- "$tricks" tagged
((status == 0)) && [[ $(grep -c '^  [0-9]' "$T/err") == 1 ]] && grep -q 'then given to free' "$T/err" && ok "touch: what free does to a lost block is not counted again" \
  || bad "touch: tagged: exit $status: $(cat "$T/err")"
under 60 mode=audit:audit=touch:stress=20:verify=1 "$(program stress_mt)" 2 4 >"$T/out" 2>"$T/err"; status=$?
((status == 0)) && ! complaints "$T/err" >"$T/complaints" && ok "touch: threads and forks" || bad "touch: stress_mt: exit $status: $(head -n 2 "$T/complaints" "$T/err")"

# -- sites=1 in collect --
under 30 mode=collect:sites=1:growth=10 "$(program leak_fast)" >"$T/out" 2>"$T/err"; status=$?
((status == 0)) && grep -qE '^cgc: [0-9]+ blocks of [0-9]+ bytes were lost and recycled, from [0-9]+ places?$' "$T/err" \
  && grep -qE '^  [0-9]+ bytes in [0-9]+ blocks, allocated at .*leak_fast\+0x' "$T/err" && ok "sites=1: the top sites are listed" || bad "sites=1: exit $status: $(head -c 300 "$T/err")"
under 30 mode=collect:stress=100:sites=1 "$tricks" complement >"$T/out" 2>"$T/err"; status=$?
grep -q 'of this place: they are recycled no more' "$T/err" && grep -q 'recycled no more: its pointers are hidden' "$T/err" \
  && ok "sites=1: evidence names its place" || bad "sites=1: $status $(head -c 400 "$T/err")"
under 30 mode=collect:stress=100 "$tricks" complement >"$T/out" 2>"$T/err"
grep -q 'nothing is recycled from here on' "$T/err" && ok "without sites=1 evidence ends recycling" || bad "no sites: $(head -c 300 "$T/err")"
finish
