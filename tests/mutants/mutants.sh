#!/bin/bash
# Mutants: for each law and each kind of root a fault= that breaks it, and the named test that must then fail.
#
#   mutants.sh [MUTANT...]
#
# A row: mutant | test | options that are added. The test runs clean first and must pass, then with the mutant, and must fail
# for the law's sake: by its exit status (a broken pattern), a complaint in the log (verify, misuse, evidence), a list that the
# collector found torn, or because no cycle completes. A test that crashes or hangs with the mutant shows that the mutant is
# a bad one: not counted as killed. Nor does a mutant that survives: both are failures of the test suite.
# `unit PROGRAM TEST` is one test of tests/unit, which arms CGC_FAULT.
set -u
. "$(dirname "$0")/../integration/lib.sh"
# Unit tests stand in the debug build when PROGRAMS is the release that tools/test makes.
unit_program() { local p=$PROGRAMS/tests/unit/$1; [[ -x $p ]] || p=$PROGRAMS/../debug/tests/unit/$1; echo "$p"; }
is_cgc || { skip "mutants: $LIB has no collector"; finish; }
seconds=8
[[ -n ${ALL:-} ]] && seconds=40
zoo=stress=100:grace=0

table="
no_registers       | zoo_register               | $zoo:stacks=live
no_registers       | zoo_xmm_register           | $zoo:stacks=live
no_stacks          | zoo_thread_stack           | $zoo
no_self_stack      | zoo_own_stack              | $zoo
no_segments        | zoo_data                   | $zoo
no_mappings        | zoo_mapping                | $zoo
no_protected       | zoo_protected              | $zoo
no_shared          | zoo_shared                 | $zoo
no_epoll           | zoo_epoll                  | $zoo
no_listed          | zoo_epoll_unseen           | $zoo
no_tls             | zoo_tls_thread             | $zoo
no_altstack        | zoo_altstack               | $zoo
no_interior        | zoo_interior               | $zoo
no_offsets         | zoo_offset                 | $zoo
no_past_end        | zoo_past_end_exact         | $zoo
no_code            | zoo_code                   | $zoo
no_seams           | zoo_seam                   | $zoo
no_stacks          | zoo_robust                 | $zoo
no_timer           | zoo_timer                  | $zoo
no_signal_value    | zoo_signal_value           | $zoo
no_notify          | zoo_notify                 | $zoo
no_aio             | zoo_aio                    | $zoo
no_iocb            | zoo_iocb                   | $zoo
no_uring           | zoo_uring                  | $zoo
no_uring           | zoo_uring_library          | $zoo
no_tagged          | zoo_tagged                 | $zoo:tagged=48
no_integers        | zoo_integers               | $zoo
no_before          | zoo_before                 | $zoo:before=16
no_align           | zoo_packed                 | $zoo
no_align           | zoo_packed_bytes           | $zoo:align=1
no_mangled         | zoo_mangled                | $zoo
no_files           | zoo_file_mapped            | $zoo:roots=+file
no_declared        | zoo_declared               | $zoo
no_inflight        | zoo_in_pipe                | $zoo
no_inflight        | zoo_in_flight              | $zoo
no_inflight        | zoo_in_socket              | $zoo
no_inflight        | zoo_in_mq                  | $zoo
no_inflight        | zoo_in_msg                 | $zoo
no_aside           | unit aside_test threads/in_an_errand_a_thread_is_what_was_interrupted |
lose_edges         | zoo_heap_list              | $zoo
lose_edges         | stress_mt $seconds 4       | stress=5:verify=1:grace=0
prune_wanted       | unit mark_test mark/edges_to_what_is_marked_pile_up_no_memory |
no_alloc_lists     | zoo_cached                 | grace=0
no_stash           | zoo_cached                 | grace=0:sites=1
law1_sweep_free    | zoo_swept                  | $zoo
law2_torn_refill   | step 12 2 refill_batch      | stress=1000000:grace=0
law3_park_busy     | step 12 2 large_block       | stress=1000000:grace=0
law3_lend_busy     | unit idle_test idle/looks_at_threads_in_any_state_hand_no_slot_out_twice |
law4_rebuild_list  | step 12 2 fast_path         | stress=1000000:grace=0
law5_late_publish  | zoo_fresh_span             | $zoo
law6_empty_is_unowned | zoo_emptied_span        | $zoo
law8_ignore_sharers | unit stop_refusal_test threads/no_stop_while_another_process_runs_in_our_memory |
law7_blind_verdict | unit verdict_test verdict/blocks_newer_than_the_stop_are_not_condemned |
law7_no_return     | zoo_returns                | stress=1:grace=32
law8_ignore_abort  | zoo_data                   | $zoo:fault=maps@1..
law8_partial_root  | zoo_altstack_kernel        | $zoo:fault=sigaltstack@1..
no_stale_line      | stale 1 20 told            | stress=100:grace=0
no_blank_check     | hardened 1 60              | harden=1
no_altered         | altered 3 60                | stress=100:grace=0
no_link_check      | unit harden_test links/of_remote_frees_are_checked_too |
no_suffix_check    | unit backtrace_test backtrace/a_change_further_out_is_seen |
no_tail_check      | unit backtrace_test backtrace/a_change_further_out_is_seen |
no_least           | unit backtrace_test backtrace/recursion_by_another_way_is_another_stack |
no_generation      | unit backtrace_test backtrace/another_module_at_an_address_has_its_own_rules |
law9_no_evidence   | zoo_evidence               | $zoo
law9_audit_recycles | zoo_audited               | $zoo:mode=audit
law9_mortal_site   | zoo_immortal               | $zoo:sites=1
first_of_cycle     | unit find_test find/of_two_components_only_the_one_without_pointers_from_outside_is_definite |
inner_as_start     | unit find_test find/a_block_held_by_an_inner_pointer_is_possible_and_so_is_what_it_holds |
whole_slots        | unit find_test find/words_behind_what_was_asked_for_hold_nothing_unless_the_program_asked_what_it_may_use |
numbers_hold       | unit find_test find/numbers_in_a_field_hold_no_block_however_few_of_its_site_are_lost |
law10_skip_end     | zoo_each_round             | $zoo
"

# Runs one test; `why` says how it failed. true: passed.
attempt() { # OPTIONS PROGRAM ARGS...
  local options=$1 name=$2 status cycles torn
  shift 2
  logs=$T/$((++attempts)) # of its own: forked children of a killed test write late
  mkdir "$logs"
  if [[ $name == unit ]]; then
    CGC_FAULT=$(sed -n 's/.*fault=//p' <<<"$options") plain 60 "$(unit_program "$1")" --filter "$2" >"$T/out" 2>"$T/err"
    status=$?
    why=$(grep -hE 'Unexpected|Expression|assert|Failed|not true|!' "$T/out" "$T/err" | head -n 1 | cut -c1-120)
    return $((status != 0))
  fi
  under 90 "mode=collect:on_misuse=abort:stats=1:log_path=$logs/%p:$options" "$(program "$name")" "$@" >"$T/out" 2>"$T/err"
  status=$?
  ((status == 75)) && { why="no place"; return 75; }
  ((status == 77 || status == 2)) && { why="can't run: exit $status"; return 2; }
  ((status == 139 || status == 135 || status == 124 || status == 137)) && { why="crashes or hangs: exit $status"; return 2; }
  ((status == 0)) || { why="exit $status: $(cat "$T/err" "$logs"/* 2>/dev/null | grep -vE '^[a-z_0-9]+ |statistics of' | tail -n 1 | cut -c1-100)"; return 1; }
  if [[ $name != zoo_evidence && $name != zoo_immortal && $name != stale && $name != hardened ]] && complaints "$logs"/* "$T/err" >"$T/complaints"; then why=$(head -n 1 "$T/complaints" | cut -c1-120); return 1; fi
  cycles=$(stat_sum cycles "$logs"/*)
  torn=$(stat_sum aborted_corrupt_list "$logs"/*)
  ((torn == 0)) || { why="$torn cycles found a torn list"; return 1; }
  ((cycles > 0)) || [[ $options == *@1..* ]] || { why="no cycle completed"; return 1; }
  why="$cycles cycles"
}

for mutant in $(sed -n '/mutants:/,/^$/p' "$root/src/base/fault.h" | grep -oE 'X\([a-z0-9_]+\)' | sed 's/X(\(.*\))/\1/'); do
  grep -q "^$mutant " <<<"$table" || bad "$mutant: no test is named for it"
done

attempts=0
declare -A clean
while IFS='|' read -r mutant test options; do
  mutant=${mutant// /} options=${options// /} test=$(xargs <<<"$test")
  [[ -n $mutant ]] || continue
  (($#)) && [[ " $* " != *" $mutant "* ]] && continue
  if [[ -z ${clean[$test $options]:-} ]]; then
    attempt "$options" $test && clean[$test $options]=pass || clean[$test $options]="$why"
  fi
  if [[ ${clean[$test $options]} == "no place" ]]; then
    skip "$mutant: $test: the system does not have its place"
    continue
  fi
  if [[ ${clean[$test $options]} != pass ]]; then
    bad "$mutant: $test fails without the mutant: ${clean[$test $options]}"
    continue
  fi
  # several faults are joined by a slash
  if [[ $options == *fault=* ]]; then broken=$options/$mutant; else broken=$options:fault=$mutant; fi
  tries=2 verdict=survived
  while ((tries-- > 0)); do
    attempt "$broken" $test
    case $? in
      0) ;;
      2) verdict="$why"; break ;;
      *) verdict=killed; break ;;
    esac
  done
  if [[ $verdict == killed ]]; then ok "$mutant: $test fails: $why"; else bad "$mutant: $test passes all the same ($verdict, $why)"; fi
done <<<"$table"
finish
