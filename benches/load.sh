#!/usr/bin/env bash
# HTTP load on a release build, on this machine only (127.0.0.1). What it measures: benches/README.md.
#
#   benches/load.sh                       builds, measures, checks the ledger
#   SECONDS_EACH=20 benches/load.sh       longer
#   REFLOOP=/path/to/refloop benches/load.sh   measures that binary, builds nothing
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds_each=${SECONDS_EACH:-5}
connections=${CONNECTIONS:-64}
threads=${THREADS:-2}
developers=${DEVELOPERS:-8}     # below the program's signups per code and hour, or they would be held for review
batch=${BATCH:-100}
password="only for this run, $RANDOM"

say() { printf '%s\n' "$*" >&2; }
die() {
    say "load.sh: $*"
    exit 1
}
server_died() {
    say "--- the server's last words:"
    tail -n 20 "$dir/server.log" >&2
    die "$@"
}

for tool in wrk curl jq; do
    command -v "$tool" >/dev/null || die "no '$tool' on the PATH (apt-get install wrk curl jq)"
done

if [ -z "${REFLOOP:-}" ]; then
    cargo build --release --locked --quiet
    REFLOOP=target/release/refloop
fi

dir=$(mktemp -d)
db=$dir/refloop.db
server=
trap 'stop_server || true; rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM

start_server() {
    # Below the range that the kernel gives to outgoing connections.
    local port
    while port=$((20000 + RANDOM % 12000)); (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
    url=http://127.0.0.1:$port
    "$REFLOOP" serve --db "$db" --listen "127.0.0.1:$port" \
        --signup-per-hour 0 --gateway-per-second 0 --developer-per-minute 0 --public-per-minute 0 \
        >>"$dir/server.log" 2>&1 </dev/null &
    server=$!
    for _ in $(seq 100); do
        ! curl -fsS -m 1 -o /dev/null "$url/healthz" 2>/dev/null || return 0
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    server_died "the server did not answer on $url"
}

# By its pid; SIGKILL only when it has not stopped by itself in 30 s. Fails when the server's exit status does.
stop_server() {
    [ -n "$server" ] || return 0
    local pid=$server status=0
    server=
    kill -TERM "$pid" 2>/dev/null || true
    for _ in $(seq 300); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    ! kill -KILL "$pid" 2>/dev/null || say "load.sh: the server did not stop in 30 s and was killed"
    wait "$pid" || status=$?
    return "$status"
}

# call KEY METHOD PATH [BODY]: prints the answer's body, or dies with it.
call() {
    local key=$1 method=$2 path=$3 body=${4:-} status
    local args=(-sS -m 10 -X "$method" -o "$dir/answer" -w '%{http_code}')
    [ -z "$key" ] || args+=(-H "Authorization: Bearer $key")
    [ -z "$body" ] || args+=(-H "Content-Type: application/json" --data-binary "$body")
    status=$(curl "${args[@]}" "$url$path") || server_died "$method $path: no answer"
    [[ $status == 2* ]] || die "$method $path answered $status: $(cat "$dir/answer")"
    cat "$dir/answer"
}

# --- the database: enough credits that every event is charged, a gateway key, some developers -----------------------

start_server    # makes the file
stop_server || server_died "the server's first stop failed"
"$REFLOOP" project program default --db "$db" --json \
    | jq '(.rules[] | select(.on == "signup" and .to == "referee") | .amount) = 1000000000' >"$dir/program.json"
"$REFLOOP" project program default "$dir/program.json" --db "$db" --json >/dev/null
gateway_key=$("$REFLOOP" key create --project default --scopes usage:write --json --db "$db" | jq -er .key)
start_server

# signup N [CODE]: one e-mail domain each, as a code is used once per domain.
signup() {
    call "" POST /v1/developers/signup "$(jq -nc --arg n "$1" --arg password "$password" --arg code "${2:-}" '
        {email: "load@developer\($n).example", $password, name: "Load \($n)"}
        + if $code == "" then {} else {referral_code: $code} end')"
}
answer=$(signup 0)
code=$(call "$(jq -er .api_key <<<"$answer")" POST /v1/developers/referral-code '{}' | jq -er .referral_code)
ids=() keys=()
for n in $(seq "$developers"); do
    answer=$(signup "$n" "$code")
    ids+=("$(jq -er .developer.id <<<"$answer")")
    keys+=("$(jq -er .api_key <<<"$answer")")
done

# Each call once by hand, so that what is measured is not a well-built refusal.
expect() {
    local what=$1 filter=$2
    jq -e "$filter" >/dev/null <<<"$answer" || die "$what: unexpected answer: $answer"
}
acknowledged=2
answer=$(call "$gateway_key" POST /v1/usage "{\"id\":\"first-1\",\"developer_id\":\"${ids[0]}\",\"calls\":1}")
expect "one event" 'any(.. | strings; . == "recorded") and .charged == 1 and .uncovered == 0'
answer=$(call "$gateway_key" POST /v1/usage \
    "{\"events\":[{\"id\":\"first-2\",\"developer_id\":\"${ids[0]}\",\"calls\":1}]}")
expect "a batch" '.results[0] | any(.. | strings; . == "recorded") and .charged == 1'
answer=$(call "$gateway_key" POST /v1/keys/verify "{\"api_key\":\"${keys[0]}\"}")
expect "a key check" '.valid and .available > 900000000'
answer=$(call "${keys[0]}" GET /v1/developers/referral-stats)
expect "referral-stats" '.credits_used == 2'

# --- the load ------------------------------------------------------------------------------------------------------

export LOAD_KEYS="${keys[*]}" LOAD_DEVELOPERS="${ids[*]}" LOAD_GATEWAY_KEY="$gateway_key" LOAD_BATCH="$batch"
floor=
refused=0

# measure NAME KIND EVENTS_PER_REQUEST
measure() {
    local name=$1 kind=$2 events=$3 requests seconds p50_ms p99_ms non_2xx socket rate
    LOAD_KIND=$kind LOAD_RUN=$kind wrk -t "$threads" -c "$connections" -d "${seconds_each}s" --timeout 10s \
        -s benches/load.lua "$url" >"$dir/wrk.out" 2>&1 || die "wrk failed: $(cat "$dir/wrk.out")"
    read -r requests seconds p50_ms p99_ms non_2xx socket \
        < <(sed -n 's/^RESULT //p' "$dir/wrk.out" | sed 's/[a-z0-9_]*=//g') \
        || die "wrk printed no result: $(cat "$dir/wrk.out")"
    [ "$requests" -gt 0 ] || die "$name: no request was answered: $(cat "$dir/wrk.out")"
    rate=$(jq -n "$requests / $seconds")
    floor=${floor:-$rate}
    acknowledged=$((acknowledged + (requests - non_2xx) * events))
    refused=$((refused + non_2xx + socket))
    printf '%-28s %10.0f %12s %9s %9s %8d %8d %9.2f\n' "$name" "$rate" \
        "$([ "$events" -eq 0 ] && echo - || printf '%.0f' "$(jq -n "$rate * $events")")" \
        "$p50_ms" "$p99_ms" "$non_2xx" "$socket" "$(jq -n "$rate / $floor")"
}

printf '%s cores, %s connections, %s wrk threads on the same cores, %s s each, %s developers\n\n' \
    "$(nproc)" "$connections" "$threads" "$seconds_each" "$developers"
printf '%-28s %10s %12s %9s %9s %8s %8s %9s\n' \
    request requests/s events/s "p50 ms" "p99 ms" non-2xx socket /healthz
measure "GET /healthz" healthz 0
measure "POST /v1/usage, one" usage 1
measure "POST /v1/usage, batch of $batch" usage_batch "$batch"
measure "POST /v1/keys/verify" verify 0
measure "GET referral-stats" stats 0

# --- what it left behind ---------------------------------------------------------------------------------------------

used=0
for key in "${keys[@]}"; do
    charged=$(call "$key" GET /v1/developers/referral-stats | jq -er .credits_used)
    used=$((used + charged))
done
peak=$(sed -n 's/^VmHWM:[[:space:]]*//p' "/proc/$server/status" 2>/dev/null || true)

printf '\nserver: peak memory %s\n' "${peak:-unknown}"
stop_server || server_died "the server's exit status is $? after SIGTERM"
printf 'database: %s bytes\n' "$(stat -c %s "$db")"
# Requests that wrk sent and did not wait for are recorded too: used may be more, never less.
printf 'events acknowledged: %s, charged: %s\n' "$acknowledged" "$used"
printf 'refloop verify: '
"$REFLOOP" verify "$db" --json || die "verify found a fault"
[ "$used" -ge "$acknowledged" ] || die "events that were acknowledged are not charged"
[ "$refused" -eq 0 ] || die "$refused requests were refused or failed: the rates above are not of work done"
