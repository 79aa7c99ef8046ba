# Runs cases of ../shared/corpus/run.sh under one set of options and judges the logs; sourced by corpus.sh and programs.sh.
#
# run_case MODE CASE, with $cases the cases file. MODE is off, report, audit, collect, hard (collect that recycles at the
# first verdict and has a cycle at every refill) or plant: collect with libplant.so in front. OPTIONS=a=b:c=d is added to
# every mode's own options and wins.
#
# run.sh compares output and exit status. Beyond that a case fails when a process left a line of misuse, evidence or a
# violation; in audit also when a program (all processes of one name in the case) allocated ENOUGH blocks and was judged less often; in collect and plant also with 0 cycles or more than 5 % aborted ones; in plant with nothing recycled
# or less than 80 % of the planted bytes gone at exit; over all cases together it must be 95 % (counted over processes that planted at least 50 blocks: in one that
# planted ten, a single stale word that leads to a list of nine would be the verdict).
SHARED=${SHARED:-$root/../shared}
# In a worktree of git, ../shared lies beside the main tree.
[[ -d $SHARED/corpus ]] || SHARED=$(dirname "$(realpath "$(git -C "$root" rev-parse --git-common-dir 2>/dev/null || echo .)")")/../shared
corpus=$SHARED/corpus/run.sh
mkdir -p "$T/logs"
chmod 777 "$T/logs" # some servers change their user

case_names() { bash -c 'need() { :; }; . "$1"; compgen -A function c_ | sed "s/^c_//"' - "$1"; }

options_of() {
  case $1 in
    off) echo mode=off ;;
    report) echo mode=report:stress=400 ;; # each malloc is a refill there: more cycles than stress=10 makes elsewhere
    audit) echo mode=audit:stress=100 ;; # as in report
    hard) echo mode=collect:stress=1:grace=0:verify=1 ;;
    *) echo mode=collect:stress=10:verify=1 ;;
  esac
}

# A compiler whose heap is marked at every refill needs two minutes on a crowded machine.
seconds_of() { case $1 in audit | hard) echo 400 ;; *) echo 120 ;; esac; }

run_case() {
  local mode=$1 name=$2 tag="$T/logs/$1.$2" options verdict log
  options=$(options_of "$mode"):${OPTIONS:+$OPTIONS:}stats=1:log_path=$tag.%p
  # run.sh writes `env LD_PRELOAD=... CGC_OPTIONS=$options` without quotes, so a further assignment rides along and wins.
  [[ $mode == plant ]] && options="$options LD_PRELOAD=$plant:$LIB PLANT_LOG=$tag-plant"
  CASE_SECONDS=${CASE_SECONDS:-$(seconds_of "$mode")} CASES=$cases KEEP=$T/keep.$mode.$name bash "$corpus" "$LIB" "$options" "$name" >"$tag-out" 2>&1
  verdict=$(grep -E "^(ok|FAIL) +$name " "$tag-out")
  [[ $verdict == ok* ]] || { bad "$mode $name: ${verdict:-$(tail -n 1 "$tag-out")} $(failure_cause "$tag" "$T/keep.$mode.$name" "$name")"; return; }
  rm -rf "$T/keep.$mode.$name"
  log=("$tag".[0-9]*)
  if complaints "${log[@]}" >"$tag-complaints"; then bad "$mode $name: $(head -n 1 "$tag-complaints")"; return; fi
  judge "$mode" "$name" "$tag"
  rm -f "$tag"*
}

# What the logs and standard error say last, for the line of a failure.
failure_cause() { cat "$2/$3.lib.err" "$1".[0-9]* 2>/dev/null | grep -E '^cgc: |Assert|abort|Segm|rror' | grep -v '^cgc: statistics' | tail -n 1 | cut -c1-160; }

# judgements LOG...: a line a program, the largest first: how often its blocks were judged, and how many it allocated.
ENOUGH=10000
judgements() {
  awk -v enough=$ENOUGH '
    $1 == "counted_refills" { blocks = $2 } $1 == "judged_blocks" { judged = $2 }
    $1 == "program" { sub(/^program /, ""); n[$0]++; b[$0] += blocks; j[$0] += judged }
    END { for (p in n) printf "%s judged %d of %d blocks in %d processes%s\n", p, j[p], b[p], n[p], b[p] >= enough && j[p] < enough ? " TOO FEW" : "" }' "$@" | sort -t' ' -k5,5nr
}

judge() {
  local mode=$1 name=$2 tag=$3 cycles aborted recycled seconds planted=""
  cycles=$(stat_sum cycles "$tag".[0-9]*) aborted=$(stat_sum aborted "$tag".[0-9]*) recycled=$(stat_sum recycled_blocks "$tag".[0-9]*)
  seconds=$(sed -nE "s/^ok +$name +plain +([0-9.]+)s +preloaded +([0-9.]+)s.*/\1 s \2 s/p" "$tag-out")
  if [[ $mode == plant ]]; then
    local blocks bytes gone processes
    read -r processes blocks bytes gone < <(cat "$tag"-plant.* /dev/null 2>/dev/null | awk '{ n++ } $4 >= 50 { b += $4; y += $6; g += $10 } END { printf "%d %d %d %d\n", n, b, y, g }')
    planted=", planted $blocks blocks $bytes bytes in $processes processes, recycled $gone"
    if ((processes == 0)); then bad "$mode $name: no process of it reported its plants"; return; fi
    if is_cgc && ((blocks >= 50)); then
      if ((recycled == 0)); then bad "$mode $name: nothing was recycled$planted"; return; fi
      planted_bytes=$((planted_bytes + bytes)) planted_gone=$((planted_gone + gone))
      if ((gone * 100 < bytes * 80)); then bad "$mode $name: less than 80 % of the planted bytes was recycled$planted"; return; fi
    fi
  fi
  if is_cgc && [[ $mode == collect || $mode == hard || $mode == plant ]] && ((cycles == 0 || aborted * 20 > cycles)); then
    bad "$mode $name: $cycles cycles, $aborted aborted ($(cat "$tag".[0-9]* | awk '/^aborted_/ { print $1; exit }'))$planted"
    return
  fi
  if [[ $mode == audit ]] && is_cgc; then
    local programs; programs=$(judgements "$tag".[0-9]*)
    if grep -q ' TOO FEW' <<<"$programs"; then bad "audit $name: $(grep ' TOO FEW' <<<"$programs" | paste -sd, -)"; return; fi
    planted=": $(paste -sd, - <<<"$programs" | sed 's/,/, /g')"
  fi
  ok "$mode $name: plain and preloaded $seconds, $cycles cycles, $aborted aborted, $recycled blocks recycled$planted"
}

# run_each MODES NAMES: every case in every mode.
run_each() {
  local mode name
  [[ -f $corpus ]] || { skip "no corpus at $corpus: set SHARED="; finish; }
  plant=$(program libplant.so)
  for mode in $1; do
    for name in $2; do run_case "$mode" "$name"; done
  done
}

# run_cases MODES NAMES: the same, and the end of the script.
run_cases() {
  run_each "$1" "$2"
  if ((planted_bytes)); then
    local text; text="planted bytes recycled by exit, over all cases: $(awk -v g="$planted_gone" -v b="$planted_bytes" 'BEGIN { printf "%.1f %% of %.0f MiB", g * 100 / b, b / 1048576 }')"
    if ((planted_gone * 100 >= planted_bytes * 95)); then ok "$text"; else bad "$text"; fi
  fi
  finish
}
planted_bytes=0 planted_gone=0
