#!/bin/bash
# The property: wherever in memory the program put the only pointer to a block, at a multiple of 4, and whatever it did to the pages around it, the
# block stays (tests/programs/places.c). Seeds are drawn anew in each run and printed; PLACES_SEED repeats one. With swap where the machine has or lets
# us make some: pages that are pushed out are half of what can go wrong.
set -u
. "$(dirname "$0")/lib.sh"
is_cgc || { skip "places: $LIB has no collector"; finish; }
p=$(program places)
rounds=250 seeds=3 bound=120
[[ -n ${ALL:-} ]] && rounds=2000 seeds=12 bound=900
options=mode=collect:stress=100:grace=0:verify=1
first=${PLACES_SEED:-$((RANDOM * 32768 + RANDOM))}
export PLACES_DISK=$T

swap_file=$T/swap huge=/proc/sys/vm/nr_hugepages huge_before=
give_back() {
  [[ -f $swap_file ]] && swapoff "$swap_file" 2>/dev/null
  rm -f "$swap_file" /dev/places.*.* /dev/shm/places.*.* # the program has them open, if it still runs
  [[ -z $huge_before ]] || echo "$huge_before" >"$huge"
}
trap 'give_back; clean_up' EXIT
if [[ -w $huge && $(cat $huge) == 0 ]] && awk '/MemAvailable/ { exit $2 < 1000000 }' /proc/meminfo; then
  huge_before=0
  echo 40 >"$huge" 2>/dev/null
fi
if [[ $(wc -l </proc/swaps) -gt 1 ]]; then echo "note  the machine has swap"
elif ((EUID == 0)) && dd if=/dev/zero of="$swap_file" bs=1M count=64 status=none 2>/dev/null && chmod 600 "$swap_file" &&
  mkswap "$swap_file" >/dev/null 2>&1 && swapon "$swap_file" 2>/dev/null; then echo "note  swap on a file of 64 MiB"
else
  rm -f "$swap_file"
  echo "note  no swap: ${EUID} is not root, or the kernel or its container takes no swap file"
fi

# run NAME SEED COMMAND...: one run; what it made goes to $T/made.
run() {
  local name=$1 seed=$2 status
  shift 2
  "$@" "$p" "$seed" "$rounds" >"$T/out" 2>"$T/err"
  status=$?
  cat "$T/out" >>"$T/made"
  if ((status != 0)) || complaints "$T/err" >/dev/null; then
    bad "$name: exit $status: $(cat "$T/out" "$T/err" | grep -m 3 -E 'lost:|cgc:')"
    return
  fi
  # Most of what nothing holds must be gone: a collector that keeps all would pass.
  read -r gone of < <(sed -n 's/.* gone \([0-9]*\) of \([0-9]*\) .*/\1 \2/p' "$T/out")
  if ((2 * gone >= of)); then ok "$name, seed $seed: $(tail -n 1 "$T/out")"; else bad "$name, seed $seed: only $gone of $of lost blocks are gone"; fi
}

collecting() { under $bound "$options" "$@"; }
# Without its privileges the process sees no /proc/self/map_files.
unprivileged() { under $bound "$options" setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
# As before Linux 6.7, where each page of an address space is listed: of two terabytes in a few minutes.
by_pagemap() { PLACES_WITHOUT=vast under $bound "$options:fault=ioctl@1.." "$@"; }
for ((i = 0; i < seeds; i++)); do run collect $((first + 2 * i)) collecting; done
rounds=$((rounds / 5))
run "without PAGEMAP_SCAN" "$first" by_pagemap
if ((EUID == 0)) && command -v setpriv >/dev/null && chmod 777 "$T"; then run "as nobody" "$first" unprivileged; else echo "note  not root, or no setpriv: not run as another user"; fi

# Report and audit look at the same memory, and recycle nothing.
rounds=40
for mode in report audit; do
  under 120 "mode=$mode:stress=100:log_path=$T/log" "$p" "$first" "$rounds" >"$T/out" 2>"$T/err"
  status=$?
  if ((status == 0)) && ! complaints "$T/err" "$T"/log* >/dev/null; then ok "$mode"; else bad "$mode: exit $status: $(grep -m 2 -hE 'lost:|cgc:' "$T/out" "$T/err" "$T"/log* 2>/dev/null)"; fi
done
# At its end a small process is asked with few roots, and without a stop.
under 30 "mode=report:log_path=$T/guarded" "$(program zoo_guarded)" end 2>"$T/err"
status=$?
if ((status == 0)); then ok "a guard in a block, at exit"; elif ((status == 75)); then echo "note  the kernel has no guards (before Linux 6.13)"; else bad "a guard in a block, at exit: exit $status"; fi
awk '$1 == "unable" { none[$2] = 1 } $2 ~ /^[0-9]+$/ { some[$1] = 1 } END { for (w in none) if (!(w in some)) print w }' "$T/made" | sort | while read -r way; do
  case $way in
    hugetlb*) echo "note  $way: not here: the system sets no huge pages aside (vm.nr_hugepages)" ;;
    key) echo "note  $way: not here: the processor or kernel has no protection keys" ;;
    uffd*) echo "note  $way: not here: the kernel has no userfaultfd, or not for this user" ;;
    *) echo "note  $way: not here" ;;
  esac
done
finish
