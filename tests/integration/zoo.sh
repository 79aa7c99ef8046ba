#!/bin/bash
# Every animal of tests/zoo: each place that can hold the only pointer to a block keeps it, and what nothing holds is recycled.
set -u
. "$(dirname "$0")/lib.sh"
is_cgc || { skip "zoo: $LIB has no collector"; finish; }
for source in "$root"/tests/zoo/*.c; do
  name=$(basename "${source%.c}") options=mode=collect:stress=100:grace=0:verify=1
  case $name in
    returns) options=mode=collect:stress=1:grace=32 ;;
    before) options+=:before=16 ;;
    tagged) options+=:tagged=48 ;;
    packed_bytes) options+=:align=1 ;;
    file_mapped) options+=:roots=+file ;;
    in_counter) options+=:inflight=1 ;;
    immortal) options+=:sites=1 ;;
    audited) options+=:mode=audit ;;
  esac
  under 60 "$options:log_path=$T/$name.log.%p" "$(program "zoo_$name")" >"$T/out" 2>"$T/err"
  status=$?
  if ((status == 75)); then echo "note  $name: the system does not have its place"
  elif ((status != 0)); then bad "$name: exit $status: $(cat "$T/err" "$T/$name".log.* 2>/dev/null | tail -n 1 | cut -c1-150)"
  elif [[ $name != evidence ]] && complaints "$T/$name".log.* "$T/err" >"$T/complaints"; then bad "$name: $(head -n 1 "$T/complaints")"
  else ok "$name"; fi
done
finish
