#!/bin/bash
# The programs of cases_more.sh: identical output in off, report, audit and collect, at a cycle every tenth refill and (mode
# hard) at every refill with nothing kept back a cycle.
#
#   more_programs.sh [CASE...]     MODES="off report audit collect hard"
#
# Without ALL=1 the quick cases only, and the two kinds of collect only: about two minutes.
set -u
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/cases_run.sh"
cases=$root/tests/integration/cases_more.sh
export CASE_SECONDS=${CASE_SECONDS:-300}
run_cases "${MODES:-collect hard${ALL:+ off report audit}}" "${*:-$(case_names "$cases")}"
