# bash completion for cgc. Options come from the command itself, so that this file can't grow old.

# Commands that read processes and files: options and values of `cgc COMMAND --help`, processes of `cgc list`, files.
# _cgc_report WORD INDEX: the word being completed; the place of the option that it is a value of, or -1.
_cgc_report() {
  local word=$1 at=$2 command=${COMP_WORDS[1]} row
  # A value may also stand behind a blank.
  [[ $at == -1 && ${COMP_WORDS[COMP_CWORD - 1]} == -* && COMP_CWORD -gt 2 ]] && at=$((COMP_CWORD - 1))
  if ((at >= 2)); then
    [[ ${COMP_WORDS[at]} == -o ]] && row=FILE || row=$(cgc "$command" --help 2>/dev/null | sed -n "s/^  ${COMP_WORDS[at]}=\\([^ ]*\\) .*/\\1/p")
    case $row in
      *'|'*) mapfile -t COMPREPLY < <(compgen -W "${row//|/ }" -- "$word"); return ;;
      FILE) mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
      ?*) return ;;
    esac
  fi
  if [[ $word == -* ]]; then
    compopt -o nospace
    # Switches end in a blank here; names with a value in "=".
    mapfile -t COMPREPLY < <(compgen -W "$(cgc "$command" --help 2>/dev/null | sed -n 's/^  \(--[a-z-]*=\{0,1\}\).*/\1/p')" -- "$word")
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} != *= ]] && COMPREPLY[0]+=' '
    return
  fi
  mapfile -t COMPREPLY < <(compgen -W "$(cgc list 2>/dev/null | awk 'NR > 1 { print $1 }')" -- "$word"; [[ $command == why ]] || compgen -f -- "$word")
}
_cgc() {
  local word=${COMP_WORDS[COMP_CWORD]} i row
  COMPREPLY=()
  # "=" splits words: --mode=re arrives as "--mode" "=" "re".
  if [[ $word == = ]]; then word=""; i=$((COMP_CWORD - 1)); elif [[ ${COMP_WORDS[COMP_CWORD - 1]} == = ]]; then i=$((COMP_CWORD - 2)); else i=-1; fi
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W 'run audit list leaks show why snapshot diff help --help --version' -- "$word")
    return
  fi
  case ${COMP_WORDS[1]} in
    help) mapfile -t COMPREPLY < <(compgen -W 'options run audit list leaks show why snapshot diff' -- "$word"); return ;;
    run | audit) ;;
    leaks | show | why | snapshot | diff) _cgc_report "$word" "$i"; return ;;
    *) return ;;
  esac
  # Behind the program's name: its own completion.
  local at
  for ((at = 2; at < COMP_CWORD; at++)); do
    case ${COMP_WORDS[at]} in
      --) at=$((at + 1)); break ;;
      --*) [[ ${COMP_WORDS[at + 1]-} == = ]] && at=$((at + 2)) ;;
      *) break ;;
    esac
  done
  if ((at < COMP_CWORD)) && declare -F _command_offset >/dev/null; then _command_offset "$at"; return; fi
  if ((i >= 2)) && [[ ${COMP_WORDS[i]} == --@(library|log_path|report|snapshot|snapshot_dir|suppressions) ]]; then
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
  elif ((i >= 2)) && [[ ${COMP_WORDS[i]} == --report-format ]]; then
    mapfile -t COMPREPLY < <(compgen -W 'text lsan json' -- "$word")
  elif ((i >= 2)); then
    row=$(cgc help options 2>/dev/null | sed -n "s/^  ${COMP_WORDS[i]#--}=\([a-z|]*\)  (.*/\1/p")
    mapfile -t COMPREPLY < <(compgen -W "${row//|/ }" -- "$word")
  elif [[ $word == -* ]]; then
    compopt -o nospace
    mapfile -t COMPREPLY < <(compgen -W "$(cgc help options 2>/dev/null | sed -n 's/^  \([a-z_]*\)=.*/--\1=/p') --options= --library= $([[ ${COMP_WORDS[1]} == run ]] && echo '--report= --report-format=') --" -- "$word")
  else
    mapfile -t COMPREPLY < <(compgen -c -- "$word")
  fi
}
complete -F _cgc -o default cgc
