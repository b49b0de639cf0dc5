# Sourced by the scripts beside it: named steps with their times, quiet logs in build/logs.
# shellcheck shell=bash

cd "$(dirname "${BASH_SOURCE[0]}")/.."
readonly LOGS=$PWD/build/logs
mkdir -p "$LOGS"

seconds_since() # <EPOCHREALTIME>
{
    local tenths=$(((${EPOCHREALTIME/[.,]/} - ${1/[.,]/}) / 100000))
    printf '%d.%d' $((tenths / 10)) $((tenths % 10))
}

# What went wrong, without what went right.
log_tail() # <log>
{
    grep -vE '^ *Start +[0-9]+:|  Passed  |^-- |^ +(CMAKE|COIL)_[A-Z_]+=|^\[[0-9]+/[0-9]+\] [A-Z]|warnings? generated' "$1" |
        grep -vE '^\[( RUN  |       OK |-+\] [0-9]+ test)|^ *$' |
        tail -n 60 | sed 's/^/    | /' || true
}

# Run a command into build/logs/<name>.log and say how it went and how long it took; its status is in
# STATUS. It returns 0 whatever comes, because bash ignores errors inside a function whose status
# somebody looks at.
logged() # <name> <command...>
{
    local name=$1 log=$LOGS/${1// /-}.log start=$EPOCHREALTIME
    shift
    printf '%-20s ' "$name"
    set +e
    (set -e; "$@") >"$log" 2>&1 </dev/null
    STATUS=$?
    set -e
    if [[ $STATUS == 0 ]]; then
        printf 'ok     %8s s\n' "$(seconds_since "$start")"
    else
        printf 'FAILED %8s s   %s\n' "$(seconds_since "$start")" "${log#"$PWD/"}"
        log_tail "$log"
    fi
}

# The same, for a step without which the rest makes no sense.
required() # <name> <command...>
{
    logged "$@"
    [[ $STATUS == 0 ]] || exit 1
}
