# Completions of coderclaw for bash. They are asked of the program itself, and so fit its version and your logins.
_coderclaw() {
    local IFS=$'\n' line=${COMP_LINE:0:COMP_POINT} words=() word current quote= breaks cut= found kind value about i
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        # Bash cuts words at ":", "@" and "=". What no blank stands between was one word.
        if ((i > 0)) && [[ $line != [[:blank:]]* ]]; then
            ((i < COMP_CWORD)) || word=$line
            words[${#words[@]} - 1]+=$word
        else
            line=${line#"${line%%[![:blank:]]*}"}
            ((i < COMP_CWORD)) || word=$line
            words+=("$word")
        fi
        line=${line#"$word"}
    done
    current=${words[${#words[@]} - 1]}
    words=("${words[@]:1:${#words[@]}-2}")
    for i in "${!words[@]}"; do
        # As the shell would read them, as far as that goes without running anything.
        case ${words[i]} in
            \"*\" | \'*\') words[i]=${words[i]:1:${#words[i]}-2} ;;
            *) words[i]=${words[i]//\\/} ;;
        esac
    done
    case $current in
        \"* | \'*) quote=${current:0:1} current=${current:1} ;;
        *)
            current=${current//\\/}
            # Bash replaces only what follows its own last break, and an "@" with it.
            breaks=${COMP_WORDBREAKS//[!:@=]/}
            [[ -z $breaks ]] || cut=${current%"${current##*[$breaks]}"}
            cut=${cut%@}
            ;;
    esac
    COMPREPLY=()
    found=$("${1/#\~/$HOME}" complete "--word=$current" -- "${words[@]}" 2>/dev/null) || return
    {
        read -r kind
        while IFS=$'\t' read -r value about; do
            value=${value#"$cut"}
            # No name in a store may mean anything to the shell.
            [[ -n $quote ]] || printf -v value %q "$value"
            COMPREPLY+=("$value")
        done
    } <<<"$found"
    case $kind in
        files) compopt -o default 2>/dev/null || COMPREPLY=($(compgen -f -- "$current")) ;;
        commands) COMPREPLY=($(compgen -c -- "$current")) ;;
    esac
}
complete -F _coderclaw coderclaw
