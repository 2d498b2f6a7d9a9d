# Completions of coderclaw for fish. They are asked of the program itself, and so fit its version and your logins.
function __coderclaw_complete
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    set -l current (commandline --current-token --cut-at-cursor)
    set -l program $words[1]
    set -e words[1]
    set -l found ($program complete "--word=$current" -- $words 2>/dev/null)
    switch "$found[1]"
        case files
            __fish_complete_path "$current"
        case commands
            __fish_complete_command
        case values
            set -e found[1]
            string join -- \n $found
    end
end
complete --command coderclaw --no-files --keep-order --arguments '(__coderclaw_complete)'
