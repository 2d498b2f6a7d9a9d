#compdef coderclaw
# Completions of coderclaw for zsh. They are asked of the program itself, and so fit its version and your logins.
_coderclaw() {
    local -a lines values shown
    local line value program=${(Q)words[1]}
    lines=("${(@f)$("${program/#\~/$HOME}" complete "--word=$PREFIX" -- "${(@Q)words[2,CURRENT-1]}" 2>/dev/null)}")
    case $lines[1] in
        files) _files ;;
        commands) _command_names -e ;;
        values)
            for line in "${(@)lines[2,-1]}"; do
                value=${line%%$'\t'*}
                values+=("$value")
                case $line in
                    *$'\t'*) shown+=("$value  ${line#*$'\t'}") ;;
                    *) shown+=("$value") ;;
                esac
            done
            (( $#values )) && compadd -l -d shown -a -- values
            ;;
    esac
}
if [[ $funcstack[1] == _coderclaw ]]; then
    _coderclaw "$@"
else
    compdef _coderclaw coderclaw
fi
