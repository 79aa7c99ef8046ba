# bash completion for cgc. Options come from the command itself, so that this file can't grow old.
_cgc() {
  local word=${COMP_WORDS[COMP_CWORD]} i row
  COMPREPLY=()
  # "=" splits words: --mode=re arrives as "--mode" "=" "re".
  if [[ $word == = ]]; then word=""; i=$((COMP_CWORD - 1)); elif [[ ${COMP_WORDS[COMP_CWORD - 1]} == = ]]; then i=$((COMP_CWORD - 2)); else i=-1; fi
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W 'run audit list help --help --version' -- "$word")
    return
  fi
  case ${COMP_WORDS[1]} in
    help) mapfile -t COMPREPLY < <(compgen -W 'options run audit' -- "$word"); return ;;
    run | audit) ;;
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
  if ((i >= 2)) && [[ ${COMP_WORDS[i]} == --library || ${COMP_WORDS[i]} == --log_path ]]; then
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
  elif ((i >= 2)); then
    row=$(cgc help options 2>/dev/null | sed -n "s/^  ${COMP_WORDS[i]#--}=\([a-z|]*\)  (.*/\1/p")
    mapfile -t COMPREPLY < <(compgen -W "${row//|/ }" -- "$word")
  elif [[ $word == -* ]]; then
    compopt -o nospace
    mapfile -t COMPREPLY < <(compgen -W "$(cgc help options 2>/dev/null | sed -n 's/^  \([a-z_]*\)=.*/--\1=/p') --options= --library= --" -- "$word")
  else
    mapfile -t COMPREPLY < <(compgen -c -- "$word")
  fi
}
complete -F _cgc -o default cgc
