# bash completion for vigilctl                                    -*- shell-script -*-

_vigilctl() {
    local cur=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} verb='' word at
    local -a words=()
    COMPREPLY=()
    for ((at = 1; at < COMP_CWORD; at++)); do
        word=${COMP_WORDS[at]}
        case $word in
            --socket) ((at++)) ;;
            -*) ;;
            *)
                verb=$word
                break
                ;;
        esac
    done
    case $previous in
        --socket)
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            return
            ;;
        --user)
            mapfile -t COMPREPLY < <(compgen -u -- "$cur")
            return
            ;;
        --reason | --name | --code) return ;;
    esac
    case $verb in
        '') words=(list show lock unlock terminate enroll factors forget policy status doctor reload thaw --help --version --socket) ;;
        list | status | doctor) words=(--json) ;;
        show | lock | unlock | terminate)
            mapfile -t words < <(vigilctl list 2>/dev/null | awk 'NR > 1 { print $1 }')
            [[ $verb == show ]] && words+=(--json) || words+=(--user --all --reason)
            [[ $verb != lock ]] || words+=(--for-sleep)
            ;;
        thaw) words=(--all --force) ;;
        enroll) words=(totp --name --code) ;;
        factors)
            words=(--json)
            mapfile -t -O 1 words < <(compgen -u)
            ;;
        forget) mapfile -t words < <(vigilctl factors 2>/dev/null | awk 'NR > 1 { print $1 }') ;;
        policy)
            if [[ $previous == policy ]]; then
                words=(check)
            else
                mapfile -t COMPREPLY < <(compgen -f -W --json -- "$cur")
                return
            fi
            ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "${words[*]}" -- "$cur")
}

complete -F _vigilctl vigilctl
