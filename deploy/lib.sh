# Sourced by the scripts beside it: named steps with their times, quiet logs in build/logs.
# shellcheck shell=bash

cd "$(dirname "${BASH_SOURCE[0]}")/.."
readonly LOGS=$PWD/build/logs
mkdir -p "$LOGS"

seconds_since() # <microseconds>
{
    local now=${EPOCHREALTIME/[.,]/}
    printf '%d.%d' $(((now - $1) / 1000000)) $(((now - $1) / 100000 % 10))
}

# Run a command into build/logs/<name>.log and say how it went and how long it took. Returns its
# status. Do not call it as a condition: bash would then ignore errors inside shell functions.
logged() # <name> <command...>
{
    local name=$1 start=${EPOCHREALTIME/[.,]/} status=0 verdict=ok
    local log=$LOGS/${name// /-}.log
    shift
    set +e
    (set -e; "$@") >"$log" 2>&1 </dev/null
    status=$?
    set -e
    [[ $status == 0 ]] || verdict=FAILED
    [[ $status == 0 ]] || tail -n 40 "$log" | sed 's/^/    | /'
    elapsed=$(seconds_since "$start")
    printf '%-6s  %-22s %8s s\n' "$verdict" "$name" "$elapsed"
    return $status
}
