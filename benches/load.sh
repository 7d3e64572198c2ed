#!/usr/bin/env bash
# HTTP load on a release build, on this machine only (127.0.0.1), beside the limits of the same machine in the same
# minutes. What the lines are and how to read them: benches/README.md.
#
#   benches/load.sh            each line once, on small databases: a few minutes
#   benches/load.sh goals      five runs, 5 million entries, a verdict on each goal; exit status 1 if one is not met
#   benches/load.sh growth     the cost of an event by entries and by developers
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=benches/lib.sh
. benches/lib.sh

mode=${1:-quick}
case $mode in
    quick)
        runs=${RUNS:-1} seconds_each=${SECONDS_EACH:-3} connections=${CONNECTIONS:-64}
        entries_full=${ENTRIES:-100000} active=${ACTIVE:-10000} ;;
    goals | growth)
        runs=${RUNS:-5} seconds_each=${SECONDS_EACH:-5} connections=${CONNECTIONS:-16 64 256}
        entries_full=${ENTRIES:-5000000} active=${ACTIVE:-100000} ;;
    *) die "usage: benches/load.sh [goals | growth]" ;;
esac
threads=${THREADS:-2}
developers=${DEVELOPERS:-1000}
batch=${BATCH:-100}
spread=$developers

for tool in wrk curl jq awk cargo; do
    command -v "$tool" >/dev/null || die "no '$tool' on the PATH (apt-get install wrk curl jq gawk)"
done
# The product last, and by itself: what it is built with is not to depend on what tests and benches need.
if [ -z "${LIMITS:-}" ]; then
    LIMITS=$(cargo build --release --locked --quiet --bench limits --message-format=json \
        | jq -r 'select(.reason == "compiler-artifact" and .target.name == "limits") | .executable')
fi
if [ -z "${REFLOOP:-}" ]; then
    cargo build --release --locked --quiet
    REFLOOP=${CARGO_TARGET_DIR:-target}/release/refloop
fi

dir=$(mktemp -d)
results=$dir/results.jsonl
trap clean_up EXIT
trap 'exit 130' INT TERM
choose_counter

# --- growth -----------------------------------------------------------------------------------------------------------

# growth WHAT SECONDS ARGUMENTS...
growth() {
    local what=$1 seconds=$2
    shift 2
    rm -f "$dir"/growth.db*
    timeout $((seconds + 120)) "$LIMITS" growth --db "$dir/growth.db" --seconds "$seconds" "$@" \
        | while read -r line; do
            jq -r --arg what "$what" 'if .stopped then "| \($what) | \(.developers) | \(.entries // "") | \(.stopped) | |"
                else "| \($what) | \(.developers) | \(.entries) | \(.ns_per_event / 1000)"
                + " | \(.bytes_per_event) (\(.counter)) |" end' <<<"$line"
        done
}

if [ "$mode" = growth ]; then
    limit_s=${GROWTH_SECONDS:-600}
    printf '| series | developers | entries | µs/event | bytes/event |\n|---|---|---|---|---|\n'
    growth entries "$limit_s" --developers 100 --entries 1000,10000,100000,1000000,10000000
    for n in 10 100 1000 10000 100000 1000000; do
        # Every developer has two entries from the start.
        growth developers "$limit_s" --developers "$n" --entries $((n * 2 > 100000 ? n * 2 : 100000))
    done
    growth "many developers" "$limit_s" --developers 10000 --entries 100000
    growth "one hot developer" "$limit_s" --developers 10000 --entries 100000 --hot
    exit 0
fi

# --- the runs ---------------------------------------------------------------------------------------------------------

# Each kind of request once by hand, so that what is measured is not a well-built refusal.
try_each() {
    local name=$1 gateway code developer key answer
    { read -r _ gateway; read -r _ code; read -r developer key; } <"${list[$name]}"
    call() {
        local authorization=$1
        shift
        answer=$(curl -fsS -m 10 -H "Authorization: Bearer $authorization" -H "Content-Type: application/json" "$@") \
            || died "$name" "curl $*: refused"
    }
    expect() { jq -e "$2" >/dev/null <<<"$answer" || die "$name, $1: unexpected answer: $answer"; }
    call "$gateway" -d "{\"id\":\"first-1\",\"developer_id\":\"$developer\",\"calls\":1}" "${url[$name]}/v1/usage"
    expect "one event" '.status == "recorded" and .charged == 1 and .uncovered == 0'
    call "$gateway" -d "{\"events\":[{\"id\":\"first-2\",\"developer_id\":\"$developer\",\"calls\":1}]}" \
        "${url[$name]}/v1/usage"
    expect "a batch" '.results[0].status == "recorded" and .results[0].charged == 1'
    call "$gateway" -d "{\"api_key\":\"$key\"}" "${url[$name]}/v1/keys/verify"
    expect "a key check" '.valid and .available > 100000000'
    call "$key" "${url[$name]}/v1/developers/referral-stats"
    expect "referral-stats" '.credits_used >= 2'
    curl -fsS -m 10 "${url[$name]}/signup?ref=$code" | grep -q "$code" || died "$name" "the signup page lacks the code"
    events_acknowledged[$name]=2
}

one_run() {
    local c kind
    run=$1
    seed empty "$developers" 0
    start_refloop empty
    sleep 1
    idle_mb+=("$(status_mb empty VmRSS)")
    try_each empty
    seed naive "$developers" 0
    start naive / "$LIMITS" naive --workers "$(nproc)" --db "${db[naive]}"
    heading
    for c in $connections; do
        for kind in usage verify stats code; do
            measure noop "$kind" "$c" "$kind" empty
            measure empty "$kind" "$c"
            measure full "$kind" "$c"
        done
        [ "$c" -ne 64 ] || measure naive usage 64
    done
    measure empty usage 64 usage_alone
    measure empty read 64 read_alone
    together usage_beside_noop empty usage read_at_noop noop read
    together read_beside_noop empty read usage_at_noop noop usage
    together usage_mixed empty usage read_mixed empty read
    for c in $connections; do
        measure empty batch "$c"
        measure full batch "$c"
    done
    peak_mb+=("$(status_mb empty VmHWM)")
    measure empty signup 64
    signup_mb+=("$(status_mb empty VmHWM)")
    stop_well naive
    "$LIMITS" sqlite --db "${db[naive]}" --seconds "$seconds_each" --rows 1000000 >"$dir/raw"
    for c in 1 100 1000; do
        jq -c --arg size "$c" "{run: $run, server: \"sqlite\", kind: \"raw\", connections: (\$size | tonumber),
            rate: .rows_per_s[\$size], events: .rows_per_s[\$size]}" "$dir/raw" >>"$results"
    done
    say "raw inserts: $(cat "$dir/raw")"
    stop_well empty
    check empty
}

idle_mb=() peak_mb=() signup_mb=()
printf '%s cores, shared by server and wrk (%s threads); %s s a line, %s runs; %s developers; bytes written: %s\n' \
    "$(nproc)" "$threads" "$seconds_each" "$runs" "$developers" "$counter"
printf 'databases in %s (%s)\n\n' "$dir" "$(df --output=fstype "$dir" | tail -n 1)"
seed full "$developers" "$entries_full"
start_refloop full
try_each full
start noop / "$LIMITS" http --workers "$(nproc)"
for number in $(seq "$runs"); do one_run "$number"; done
run=0
stop_well noop
full_mb=$(status_mb full VmHWM)
stop_well full
start_refloop full
start_full_s=$started_s
stop_well full
check full
verified_per_s=$(calc "$entries / $verify_s")
verify_full_s=$verify_s
entries_at_end=$entries
rm -f "${db[full]}"

# --- many developers ------------------------------------------------------------------------------------------------

spread=$active
seed active "$active" 0
start_refloop active
short_each=$seconds_each
seconds_each=${ACTIVE_SECONDS:-$((active / 5000 + 1))}
heading
for kind in usage verify; do measure active "$kind" 64; done
touched=$(figure '[.[] | select(.server == "active") | .requests] | min')
[ "$touched" -ge "$active" ] || say "only $touched of $active developers were reached: raise ACTIVE_SECONDS"
seconds_each=$short_each
active_mb=$(status_mb active VmHWM)
stop_well active
check active

# --- what it came to ------------------------------------------------------------------------------------------------

median() { printf '%s\n' "$@" | jq -s 'sort | .[length / 2 | floor]'; }
summary
printf '\nmemory of the server, MB: %s at rest, at most %s on the empty file (%s with signups), ' \
    "$(median "${idle_mb[@]}")" "$(median "${peak_mb[@]}")" "$(median "${signup_mb[@]}")"
printf '%s on the large one, %s with %s developers\n' "$full_mb" "$active_mb" "$active"
printf 'bytes written (%s) for an event: %s alone, %s in batches of %s\n' "$counter" \
    "$(round "$(figure 'typical("empty"; "usage"; 64; .bytes_per_event)')")" \
    "$(round "$(figure 'typical("empty"; "batch"; 64; .bytes_per_event)')")" "$batch"
beside() { round "$(figure "ratio(\"empty\"; \"$1_mixed\"; \"empty\"; \"$1_beside_noop\"; 64)")"; }
printf 'mixed, against the same load while the other one is at the no-op server: writes %s, reads %s\n' \
    "$(beside usage)" "$(beside read)"
printf 'the large file: %s entries at the end, answers /readyz after %s s, verified in %s s\n\n' \
    "$entries_at_end" "$(round "$start_full_s")" "$(round "$verify_full_s")"

goal "one event / no-op POST, 64 connections" "$(figure 'ratio("empty"; "usage"; "noop"; "usage"; 64)')" ">=" 0.35
goal "one event / no-op POST, 256 connections" "$(figure 'ratio("empty"; "usage"; "noop"; "usage"; 256)')" ">=" 0.45
goal "one event, p99, 64 connections" "$(figure 'typical("empty"; "usage"; 64; .p99_ms)')" "<" 10 ms
events=$(figure 'typical("empty"; "batch"; 64; .events)')
# shellcheck disable=SC2016
of_raw=$(figure '[those("empty"; "batch"; 64) as $a | those("sqlite"; "raw"; 1000) | select(.run == $a.run)
    | $a.events / .rate] | median')
if [ "$(calc "$events >= 100000")" = true ]; then
    goal "batches of $batch, events/s" "$events" ">=" 100000
else
    goal "batches of $batch ($(round "$events") events/s) / raw bulk insert" "$of_raw" ">=" 0.6 "(or 100000 events/s)"
fi
goal "keys/verify / no-op POST, 64 connections" "$(figure 'ratio("empty"; "verify"; "noop"; "verify"; 64)')" ">=" 0.8
goal "referral-stats / no-op GET, 64 connections" "$(figure 'ratio("empty"; "stats"; "noop"; "stats"; 64)')" ">=" 0.4
for kind in usage batch verify stats; do
    goal "$kind on $entries_full entries / on the empty file" \
        "$(figure "ratio(\"full\"; \"$kind\"; \"empty\"; \"$kind\"; 64)")" ">=" 0.85
done
goal "mixed: writes / the same alone" "$(figure 'ratio("empty"; "usage_mixed"; "empty"; "usage_alone"; 64)')" ">=" 0.4
goal "mixed: reads / the same alone" "$(figure 'ratio("empty"; "read_mixed"; "empty"; "read_alone"; 64)')" ">=" 0.4
goal "one event / naive" "$(figure 'ratio("empty"; "usage"; "naive"; "usage"; 64)')" ">=" 10
goal "one event / 5 x PocketBase (not run here: 0.04 of a no-op POST, once measured)" \
    "$(figure 'ratio("empty"; "usage"; "noop"; "usage"; 64) / (5 * 0.04)')" ">=" 1
goal "memory at rest" "$(median "${idle_mb[@]}")" "<" 20 MB
goal "memory under load, $active developers" "$active_mb" "<" 150 MB
goal "start with $entries_full entries" "$start_full_s" "<" 2 s
goal "refloop verify, entries/s" "$verified_per_s" ">=" 1000000

[ -z "${RESULTS:-}" ] || cp "$results" "$RESULTS"
[ "$refused" -eq 0 ] || die "$refused requests were refused or failed: the rates above are not of work done"
if [ "$mode" = goals ] && [ "$missed" -gt 0 ]; then
    die "$missed goals are not met"
fi
