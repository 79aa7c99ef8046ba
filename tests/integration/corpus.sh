#!/bin/bash
# The whole of ../shared/corpus: real programs, identical output in off, report and collect under stress; with planted leaks.
#
#   corpus.sh [CASE...]     MODES="off report collect plant" (default: off report plant; ALL=1 adds collect without plants)
#
# About a minute a mode. SHARED=folder when ../shared is elsewhere.
set -u
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/cases_run.sh"
cases=$SHARED/corpus/cases.sh
run_cases "${MODES:-off report plant${ALL:+ collect}}" "${*:-$(case_names "$cases")}"
