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
        --reason | --name | --key | --for) return ;;
    esac
    case $verb in
        '') words=(list show lock unlock terminate enroll recovery-codes factors forget rekey grants revoke block unblock requests approve deny policy sudo status doctor reload rehearse enforce thaw --help --version --socket) ;;
        list | status | doctor | requests) words=(--json) ;;
        grants) words=(--all --json) ;;
        show | lock | unlock | terminate)
            mapfile -t words < <(vigilctl list 2>/dev/null | awk 'NR > 1 { print $1 }')
            [[ $verb == show ]] && words+=(--json) || words+=(--user --all --reason)
            [[ $verb != lock ]] || words+=(--for-sleep)
            ;;
        thaw) words=(--all --force) ;;
        enroll)
            words=(totp key ticket --name --digits --hash --ticket)
            [[ ${COMP_WORDS[at + 1]} != key ]] || words=(--name --key --json --ticket)
            if [[ ${COMP_WORDS[at + 1]} == ticket ]]; then
                mapfile -t words < <(compgen -u)
                words+=(--for)
            fi
            ;;
        recovery-codes)
            mapfile -t words < <(compgen -u)
            ;;
        factors)
            words=(--json)
            mapfile -t -O 1 words < <(compgen -u)
            ;;
        revoke)
            mapfile -t words < <(vigilctl grants 2>/dev/null | awk 'NR > 1 { print $1 }')
            words+=(--user)
            ;;
        block)
            mapfile -t words < <(compgen -u)
            words+=(--for --reason)
            ;;
        unblock)
            mapfile -t words < <(vigilctl status 2>/dev/null | awk '$1 == "blocked" { print $2 }')
            ;;
        approve | deny)
            mapfile -t words < <(vigilctl requests 2>/dev/null | awk 'NR > 1 { print $1 }')
            [[ $verb == deny ]] && words+=(--reason) || words+=(--yes)
            ;;
        forget) mapfile -t words < <(vigilctl factors 2>/dev/null | awk 'NR > 1 { print $1 }') ;;
        rekey)
            words=(--with-key)
            [[ $previous != --with-key ]] || words=(host tpm2 host+tpm2)
            ;;
        sudo)
            words=(enable disable status)
            [[ $previous != status ]] || words=(--json)
            [[ $previous != enable ]] || words=(--unavailable)
            [[ $previous != --unavailable ]] || words=(allow deny)
            ;;
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
