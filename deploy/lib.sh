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
    grep -vE '^ *Start +[0-9]+:|  Passed  |^\[[0-9]+/[0-9]+\] (Building|Linking|Re-check)' "$1" |
        tail -n 60 | sed 's/^/    | /' || true
}

# Run a command into build/logs/<name>.log, say how it went and how long it took, and return its
# status. Never call it as a condition: bash would then ignore errors inside shell functions.
logged() # <name> <command...>
{
    local name=$1 log=$LOGS/${1// /-}.log start=$EPOCHREALTIME status=0
    shift
    printf '%-20s ' "$name"
    set +e
    (set -e; "$@") >"$log" 2>&1 </dev/null
    status=$?
    set -e
    if [[ $status == 0 ]]; then
        printf 'ok     %8s s\n' "$(seconds_since "$start")"
    else
        printf 'FAILED %8s s   %s\n' "$(seconds_since "$start")" "${log#"$PWD/"}"
        log_tail "$log"
    fi
    return $status
}
