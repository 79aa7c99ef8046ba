#!/bin/bash
# The programs of cases_more.sh: identical output in off, report, audit and collect, and in `hard`: a cycle at every refill that
# recycles at the first verdict.
#
#   more_programs.sh [CASE...]     MODES="off report audit collect hard"
#
# Without ALL=1 the quick cases only, in collect, and some of those in hard: about two minutes. Compilers are left out of hard:
# a large heap marked at every refill would take them an hour.
set -u
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/cases_run.sh"
cases=$root/tests/integration/cases_more.sh
quick="erlang ruby tcl luajit emacs sqlite_threads lighttpd haproxy ffmpeg imagemagick ghostscript sox rsync sshd tmux xterm"
hard="erlang sshd tcl luajit lighttpd ffmpeg sox rsync"
compilers=" clang go gxx ghc rustc ocaml "
export CASE_SECONDS=${CASE_SECONDS:-300}
if [[ -n "$*${MODES:-}" ]]; then run_cases "${MODES:-collect}" "${*:-$(case_names "$cases")}"; fi
if [[ -n ${ALL:-} ]]; then
  quick=$(case_names "$cases") hard=""
  for name in $quick; do [[ $compilers == *" $name "* ]] || hard+="$name "; done
  run_each "off report audit" "$quick"
fi
run_each collect "$quick"
run_each hard "$hard"
finish
