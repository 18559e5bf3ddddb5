#!/usr/bin/env bash
# The documentation's quickstart with plain curl: from an image to an actor's log. Run it with `make demo`.
#
# It uses a daemon, a port and a data directory of its own and leaves nothing behind but the image abacod/word-count.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# A proxy set in the environment does not know this machine's loopback.
export no_proxy="127.0.0.1${no_proxy:+,$no_proxy}"

message="Actor, please count these words."

work=$(mktemp -d "${TMPDIR:-/tmp}/abacod-demo.XXXXXX")
data="$work/data"
log="$work/daemon.log"
daemon=

# --- Telling what happens ---------------------------------------------------------------------------------------------

say() { printf '\n%s\n' "$*"; }

# Show a command as one would type it.
show() { printf '  $ %s\n' "$*"; }

fail() {
    printf '\nFAILED: %s\n' "$*" >&2
    if [[ -s $log ]]; then
        printf '\nThe end of the daemon'\''s log:\n' >&2
        tail -n 40 "$log" >&2
    fi
    exit 1
}

# --- Small tools ------------------------------------------------------------------------------------------------------

# Stop the daemon and wait for it. It waits for running executions itself, for up to 30 s.
stop_daemon() {
    local limit=$((SECONDS + 40)) code=0
    [[ -n $daemon ]] || return 0
    kill -TERM "$daemon" 2>/dev/null || true
    while kill -0 "$daemon" 2>/dev/null && ((SECONDS < limit)); do sleep 0.2; done
    kill -KILL "$daemon" 2>/dev/null || true
    wait "$daemon" 2>/dev/null || code=$?
    daemon=
    return "$code"
}

clean_up() {
    stop_daemon || true
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# field NAME...: a field of the JSON on standard input; text as it is, anything else as indented JSON.
field() {
    python3 -c '
import json, sys
value = json.load(sys.stdin)
for name in sys.argv[1:]:
    value = value[name]
print(value if isinstance(value, str) else json.dumps(value, indent=2))' "$@"
}

# call CURL-ARGUMENTS...: one request as the demo's user. curl fails where the server answers with an error, and shows it.
call() { curl --silent --show-error --fail-with-body --max-time 30 --header "X-Tapis-Token: $token" "$@"; }

# wait_for SECONDS WHAT WANTED COMMAND...: until COMMAND prints WANTED.
wait_for() {
    local limit=$((SECONDS + $1)) what=$2 wanted=$3 seen=
    shift 3
    until seen=$("$@" 2>/dev/null) && [[ $seen == "$wanted" ]]; do
        [[ $seen != ERROR ]] || fail "$what ended in ERROR"
        kill -0 "$daemon" 2>/dev/null || fail "the daemon has ended"
        ((SECONDS < limit)) || fail "$what is not $wanted in time, but: ${seen:-no answer}"
        sleep 0.2
    done
}

ready_code() { curl --silent --max-time 5 --output /dev/null --write-out '%{http_code}' "$server/readyz"; }
actor_status() { call "$actors/$actor" | field result status; }
execution_status() { call "$actors/$actor/executions/$execution" | field result status; }

# --- The quickstart ---------------------------------------------------------------------------------------------------

for program in curl python3 docker abacod; do
    command -v "$program" >/dev/null || fail "needs $program on the PATH; \`make demo\` sees to that"
done

say "1. An image. A script that counts the words of \$MSG:"
show "examples/word-count/build.sh"
"$here/word-count/build.sh"

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
server="http://127.0.0.1:$port"
actors="$server/v3/actors"
token=

say "2. The daemon, and a user:"
show "abacod serve --data-dir DATA --port $port &"
# The image was built here and is in no registry: do not look for a newer one.
ABACOD_ENGINE__PULL_POLICY=missing abacod serve --data-dir "$data" --port "$port" >"$log" 2>&1 &
daemon=$!
wait_for 60 "the daemon" 200 ready_code

show "abacod users add demo --data-dir DATA --password-stdin"
python3 -c 'import secrets; print(secrets.token_urlsafe())' |
    abacod users add demo --data-dir "$data" --password-stdin || fail "the user was not added"
show "TOKEN=\$(abacod token demo --data-dir DATA)"
token=$(abacod token demo --data-dir "$data") || fail "no token was made"

say "3. Register the image as an actor, and wait until it is READY:"
show "curl -H \"X-Tapis-Token: \$TOKEN\" -d image=abacod/word-count -d name=word_counter $actors"
reply=$(call --data image=abacod/word-count --data name=word_counter "$actors") || fail "not registered: $reply"
actor=$(field result id <<<"$reply")
echo "  The actor's id is $actor"
wait_for 60 "the actor" READY actor_status

say "4. Send it a message, and wait until its execution is COMPLETE:"
show "curl -H \"X-Tapis-Token: \$TOKEN\" -d 'message=$message' $actors/$actor/messages"
reply=$(call --data "message=$message" "$actors/$actor/messages") || fail "not sent: $reply"
execution=$(field result execution_id <<<"$reply")
echo "  The execution's id is $execution"
wait_for 60 "the execution" COMPLETE execution_status

say "5. The execution:"
show "curl -H \"X-Tapis-Token: \$TOKEN\" $actors/$actor/executions/$execution"
reply=$(call "$actors/$actor/executions/$execution") || fail "no execution: $reply"
field result <<<"$reply"

say "6. Its log:"
show "curl -H \"X-Tapis-Token: \$TOKEN\" $actors/$actor/executions/$execution/logs"
reply=$(call "$actors/$actor/executions/$execution/logs") || fail "no log: $reply"
logs=$(field result logs <<<"$reply")
echo "$logs"
[[ $logs == "Number of words is: 5" ]] || fail "the log should be: Number of words is: 5"

stop_daemon || fail "the daemon did not end cleanly (exit code $?)"

say "That was all: the daemon is stopped, its data removed. To go on:
  make serve                           a daemon that stays, on http://127.0.0.1:8000
  docs/getting-started.md              the same by hand, with curl and with tapipy
  examples/word-count/README.md        how to write an actor, in shell or in Python"
