#!/bin/bash
# The programs of cases.sh: identical output in off, report and collect under stress; with planted leaks.
#
#   programs.sh [CASE...]     MODES="off report collect plant" (default: off report plant; ALL=1 adds collect without plants)
set -u
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/cases_run.sh"
cases=$root/tests/integration/cases.sh
run_cases "${MODES:-off report plant${ALL:+ collect}}" "${*:-$(case_names "$cases")}"
