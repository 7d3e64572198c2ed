# What benches/load.sh is made of: processes, one measurement, and figures out of many. Sourced, not run.
# Settings come from there, and some of what is set here is read there.
# shellcheck shell=bash disable=SC2034,SC2154

declare -A url=() pid=() list=() db=() events_acknowledged=() charged_before=()
refused=0       # requests that were refused or failed, over all measurements
measured=0      # names each measurement's event ids
missed=0        # goals that are not met
run=0

say() { printf '%s\n' "$*" >&2; }
die() {
    say "load.sh: $*"
    exit 1
}
calc() { jq -n "$1"; }

# --- processes: each is ended by its pid, and nothing else is -------------------------------------------------------

# start NAME PATH COMMAND...: runs it with --listen on a free port until PATH answers; sets url, pid and started_s.
start() {
    local name=$1 path=$2 port began
    shift 2
    # Below the range that the kernel gives to outgoing connections.
    while port=$((20000 + RANDOM % 12000)); (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
    url[$name]=http://127.0.0.1:$port
    began=$EPOCHREALTIME
    "$@" --listen "127.0.0.1:$port" >>"$dir/$name.log" 2>&1 </dev/null &
    pid[$name]=$!
    for _ in $(seq 1000); do
        if curl -fsS -m 2 -o /dev/null "${url[$name]}$path" 2>/dev/null; then
            started_s=$(calc "$EPOCHREALTIME - $began")
            return 0
        fi
        kill -0 "${pid[$name]}" 2>/dev/null || break
        sleep 0.01
    done
    died "$name" "it did not answer on ${url[$name]}$path"
}

# No limits by rate, and room for the largest batches of all connections at once: a refusal is not a measurement.
start_refloop() {
    local most=${connections##* } room
    room=$((most * batch * 2))
    start "$1" /readyz "$REFLOOP" serve --db "${db[$1]}" --queued-writes $((room > 16384 ? room : 16384)) \
        --signup-per-hour 0 --gateway-per-second 0 --developer-per-minute 0 --public-per-minute 0
    events_acknowledged[$1]=${events_acknowledged[$1]:-0}
}

died() {
    say "--- the last words of $1:"
    tail -n 20 "$dir/$1.log" >&2
    die "$1: $2"
}

# SIGTERM; SIGKILL only when it has not stopped by itself in 30 s. Fails when the exit status is not 0.
stop() {
    local name=$1 status=0 number=${pid[$1]:-}
    [ -n "$number" ] || return 0
    unset "pid[$name]"
    kill -TERM "$number" 2>/dev/null || true
    for _ in $(seq 300); do
        kill -0 "$number" 2>/dev/null || break
        sleep 0.1
    done
    if kill -KILL "$number" 2>/dev/null; then
        say "load.sh: $name did not stop in 30 s and was killed"
    fi
    wait "$number" || status=$?
    return "$status"
}

stop_well() { stop "$1" || died "$1" "its exit status was $? after SIGTERM"; }

clean_up() {
    local name number
    for number in $(jobs -p); do
        # The servers are stopped in order below; a load that was interrupted has no reason to go on.
        [[ " ${pid[*]} " == *" $number "* ]] || kill "$number" 2>/dev/null || true
    done
    for name in "${!pid[@]}"; do stop "$name" || true; done
    rm -rf "$dir"
}

# status_mb NAME FIELD: VmRSS or VmHWM of a server, in MB.
status_mb() { awk -v field="$2:" '$1 == field { printf "%.1f", $2 / 1024 }' "/proc/${pid[$1]}/status"; }

# Which of the kernel's counters says what a process has written: what reached the disk's cache, where that is counted.
choose_counter() {
    local bytes
    # shellcheck disable=SC2016
    bytes=$(bash -c 'printf "%65536s" x >"$1"; sed -n "s/^write_bytes: //p" /proc/$$/io' _ "$dir/probe")
    if [ "${bytes:-0}" -gt 0 ]; then counter=write_bytes; else counter=wchar; fi
}
written() { sed -n "s/^$counter: //p" "/proc/${pid[$1]}/io"; }

# --- databases ------------------------------------------------------------------------------------------------------

# seed NAME DEVELOPERS ENTRIES
seed() {
    db[$1]=$dir/$1.db list[$1]=$dir/$1.list events_acknowledged[$1]=0
    rm -f "${db[$1]}" "${db[$1]}"-*
    "$LIMITS" seed --db "${db[$1]}" --developers "$2" --entries "$3" --out "${list[$1]}" >"$dir/seeded" \
        || die "the database $1 could not be made"
    charged_before[$1]=$(jq .charged "$dir/seeded")
    say "made $1: $(tr -d '{}"' <"$dir/seeded")"
}

# check NAME: after its server has stopped. Sets verify_s and entries.
check() {
    local name=$1 charged began verdict
    began=$EPOCHREALTIME
    verdict=$("$REFLOOP" verify "${db[$name]}" --json) || die "refloop verify, $name: $verdict"
    verify_s=$(calc "$EPOCHREALTIME - $began")
    entries=$(jq .entries <<<"$verdict")
    charged=$("$LIMITS" charged --db "${db[$name]}" --list "${list[$name]}" | jq .charged)
    charged=$((charged - charged_before[$name]))
    say "checked $name: $entries entries, ${events_acknowledged[$name]} events acknowledged, $charged charged"
    # Requests that were sent and not waited for are recorded too: charged may be more, never less.
    [ "$charged" -ge "${events_acknowledged[$name]}" ] || die "$name: events that were acknowledged are not charged"
}

# --- one measurement ------------------------------------------------------------------------------------------------

# load OUT SERVER KIND CONNECTIONS LIST: one wrk.
load() {
    LOAD_KIND=$3 LOAD_LIST=$5 LOAD_RUN=m$measured LOAD_DEVELOPERS=$spread LOAD_BATCH=$batch \
        wrk -t "$threads" -c "$4" -d "${seconds_each}s" --timeout 30s -s benches/load.lua "${url[$2]}" >"$1" 2>&1
}

# record OUT SERVER KIND CONNECTIONS NAME BYTES: prints a line, and keeps it among the results.
record() {
    local out=$1 server=$2 kind=$3 connections=$4 name=$5 bytes=$6 events=0 answered bad line
    line=$(sed -n 's/^RESULT //p' "$out")
    [ -n "$line" ] || died "$server" "wrk printed no result: $(cat "$out")"
    case $kind in usage) events=1 ;; batch) events=$batch ;; esac
    read -r answered bad < <(jq -r '"\(.requests - .non_2xx) \(.non_2xx + .socket)"' <<<"$line")
    [ "$answered" -gt 0 ] || died "$server" "$name: no request was answered: $(cat "$out")"
    if [ "$bad" -gt 0 ]; then
        say "REFUSED OR FAILED: $bad of $server, $name, $connections connections"
        refused=$((refused + bad))
    fi
    [ -z "${events_acknowledged[$server]:-}" ] \
        || events_acknowledged[$server]=$((events_acknowledged[$server] + answered * events))
    jq -c --argjson run "$run" --arg server "$server" --arg kind "$name" --argjson connections "$connections" \
        --argjson events "$events" --argjson bytes "$bytes" --argjson rss_mb "$(status_mb "$server" VmRSS)" \
        '{$run, $server, $kind, $connections, $rss_mb} + .
            + ((.requests - .non_2xx) as $answered | {rate: ($answered / .seconds), events: ($events * $answered / .seconds),
               bytes_per_event: (if $events > 0 then $bytes / ($answered * $events) else null end)})' \
        <<<"$line" >>"$results"
    tail -n 1 "$results" | jq -r '[.run, .server, .kind, .connections, (.rate | round), (.events | round), .p50_ms,
        .p99_ms, .p999_ms, ((.bytes_per_event // 0) | round), .rss_mb] | @tsv' | awk -F '\t' -v format="$columns" \
        '{ printf format, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 }'
}

columns='%-4s%-8s%-18s%5s%12s%12s%10s%10s%10s%9s%8s\n'
heading() {
    # shellcheck disable=SC2059
    printf "$columns" run server load conn requests/s events/s "p50 ms" "p99 ms" "p99.9 ms" B/event "RSS MB"
}

# measure SERVER KIND CONNECTIONS [NAME [LIST-OF]]
measure() {
    local server=$1 kind=$2 connections=$3 name=${4:-$2} bytes
    measured=$((measured + 1))
    bytes=$(written "$server")
    load "$dir/wrk.out" "$server" "$kind" "$connections" "${list[${5:-$server}]}" \
        || died "$server" "wrk failed: $(cat "$dir/wrk.out")"
    record "$dir/wrk.out" "$server" "$kind" "$connections" "$name" "$(($(written "$server") - bytes))"
}

# together NAME SERVER KIND, NAME SERVER KIND: two loads at the same time, 64 connections each; both are kept.
together() {
    local first second bytes
    measured=$((measured + 1))
    bytes=$(written "$2")
    load "$dir/first.out" "$2" "$3" 64 "${list[empty]}" &
    first=$!
    load "$dir/second.out" "$5" "$6" 64 "${list[empty]}" &
    second=$!
    wait "$first" || died "$2" "wrk failed: $(cat "$dir/first.out")"
    wait "$second" || died "$5" "wrk failed: $(cat "$dir/second.out")"
    bytes=$(($(written "$2") - bytes))
    record "$dir/first.out" "$2" "$3" 64 "$1" "$bytes"
    record "$dir/second.out" "$5" "$6" 64 "$4" "$bytes"
}

# --- figures out of the results -------------------------------------------------------------------------------------

# figure EXPRESSION: in jq, on all results. A ratio is taken within a run; what is printed is the median of the runs.
figure() {
    jq -rs 'def median: map(values) | sort | if length == 0 then null
                elif length % 2 == 1 then .[length / 2 | floor] else (.[length / 2 - 1] + .[length / 2]) / 2 end;
            def those(s; k; c): .[] | select(.server == s and .kind == k and .connections == c);
            def typical(s; k; c; f): [those(s; k; c) | f] | median;
            def ratio(s; k; s2; k2; c): [those(s; k; c) as $a | those(s2; k2; c) | select(.run == $a.run)
                | $a.rate / .rate] | median;
            '"$1" "$results"
}

# goal WHAT FIGURE COMPARISON LIMIT [UNIT]
goal() {
    local verdict="not met"
    [ "$2" != null ] && [ -n "$2" ] && [ "$(calc "$2 $3 $4")" = true ] && verdict=met
    [ "$verdict" = met ] || missed=$((missed + 1))
    printf '%-8s %-66s %12s   goal %s %s %s\n' "$verdict" "$1" "$(round "$2")" "$3" "$4" "${5:-}"
}
round() { if [ "$1" = null ]; then echo "not measured"; else calc "$1 | if . >= 100 then round else . * 1000 | round / 1000 end"; fi; }

# The medians of all lines, with each rate's share of the no-op's for the same requests.
summary() {
    printf '\n| server | load | connections | requests/s | events/s | p50 ms | p99 ms | p99.9 ms | of the no-op | bytes/event | RSS MB |\n'
    printf '|---|---|---|---|---|---|---|---|---|---|---|\n'
    # shellcheck disable=SC2016
    figure '. as $all | def r: if . == null then "" elif . >= 100 then round else . * 1000 | round / 1000 end;
        group_by([.server, .kind, .connections])[] | .[0] as {server: $s, kind: $k, connections: $c}
        | ([.[] | .rate] | median) as $rate
        | "| \($s) | \($k) | \($c) | \($rate | r) | \([.[] | .events] | median | r) | \([.[] | .p50_ms] | median | r)"
        + " | \([.[] | .p99_ms] | median | r) | \([.[] | .p999_ms] | median | r)"
        + " | \($all | ratio($s; $k; "noop"; $k; $c) | r)"
        + " | \([.[] | .bytes_per_event | values] | median | r) | \([.[] | .rss_mb] | median | r) |"'
}
