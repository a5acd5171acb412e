# shellcheck shell=bash
# What every script here begins with. A lane is told everything in variables, so it can be run by hand as well:
#
#   REGISTRY, STAGING             where images are built to and deployed from, as registry.example.com/plex
#   BACKEND, FRONTEND             the images that the lane is about, by digest (all but ci/build)
#   ATTEST_KEY_FILE or LANE_KEY   the lane's private key, as a file or as text; ATTEST_KEY_PASSWORD opens it
#   KEYLESS=1, TRUST_CONFIG       sign as what the job is instead, with the services of this file
#   REGISTRY_USER, REGISTRY_PASSWORD, STAGING_USER, STAGING_PASSWORD   to log in; else what `podman login` left counts
#   ARTIFACTS                     folder for reports and pictures
#   RUN, ATTEMPT                  outside of a CI: which run this is
#   ENVIRONMENT, ACTOR            of ci/deploy: the document of the environment, if another; and who deploys
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

lane=$(basename "$0")
say() { echo "ci/$lane: $*" >&2; }
die() { say "$*"; exit 2; }

private=$(mktemp -d)
containers=()
finish() {
    local code=$?
    trap - EXIT
    [ ${#containers[@]} = 0 ] || podman rm --force --time 0 "${containers[@]}" >/dev/null || say "containers are left"
    rm -rf "$private"
    exit $code
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

ATTEST_VERSION=0.1.0
set -a
# shellcheck source=/dev/null
. ci/images.env
ARTIFACTS=${ARTIFACTS:-artifacts}
set +a
mkdir -p "$ARTIFACTS"

# The runner brings attest; one that does not gets it here.
if ! command -v attest >/dev/null; then
    python3 -m venv "$private/attest"
    "$private/attest/bin/python" -m pip install --quiet "attest-gate==$ATTEST_VERSION"
    PATH=$PATH:$private/attest/bin
fi

need() {
    local name
    for name; do [ -n "${!name:-}" ] || die "$name is not set"; done
}

# ---- the registries

# login PREFIX USER PASSWORD: for the host of the prefix, where there is a user.
login() {
    [ -n "$2" ] || return 0
    printf '%s' "$3" |
        podman login --authfile "$DOCKER_CONFIG/config.json" --username "$2" --password-stdin "${1%%/*}" >/dev/null
}

if [ -n "${REGISTRY_USER:-}${STAGING_USER:-}" ]; then
    export DOCKER_CONFIG=$private/docker REGISTRY_AUTH_FILE=$private/docker/config.json
    mkdir "$DOCKER_CONFIG"
    login "${REGISTRY:-}" "${REGISTRY_USER:-}" "${REGISTRY_PASSWORD:-}"
    login "${STAGING:-}" "${STAGING_USER:-}" "${STAGING_PASSWORD:-}"
    unset REGISTRY_PASSWORD STAGING_PASSWORD
fi

# ---- who signs, and in which run

if [ -n "${LANE_KEY:-}" ]; then
    ATTEST_KEY_FILE=$private/lane.key
    (umask 077 && printf '%s\n' "$LANE_KEY" >"$ATTEST_KEY_FILE")
fi
unset LANE_KEY

if [ "${KEYLESS:-}" = 1 ]; then
    signer=(--keyless ${TRUST_CONFIG:+--trust-config "$TRUST_CONFIG"})
else
    signer=(--key "${ATTEST_KEY_FILE:-}")
fi
run=(${RUN:+--run-id "$RUN"} ${ATTEMPT:+--run-attempt "$ATTEMPT"})

# Tells the forge what later jobs need, NAME VALUE. By hand it is printed, or goes to the file OUTPUTS.
output() { echo "$1=$2" >>"${OUTPUTS:-${GITHUB_OUTPUT:-/dev/stdout}}"; }

# The images as the release that they are: the lanes vouch for both, and for nothing but these two together.
release() {
    need BACKEND FRONTEND
    attest release create --service "backend=$BACKEND" --service "frontend=$FRONTEND" \
        --force --output "$ARTIFACTS/release.yaml" >/dev/null
}

# ---- the containers that are tested

free_port() { python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# start NAME IMAGE [NAME=VALUE...]: a container that is gone when the script ends; its name is $NAME_container.
start() {
    local name=playlist-$lane-$$-$1 service=$1 image=$2 variables=()
    shift 2
    for setting; do variables+=(--env "$setting"); done
    podman pull --quiet "$image" >/dev/null
    containers+=("$name")
    # Its health is asked from outside: podman's own checks need systemd.
    podman run --detach --name "$name" --network host --no-healthcheck \
        ${variables[@]+"${variables[@]}"} "$image" >/dev/null
    printf -v "${service}_container" %s "$name"
}

# Both services, each on a port of this lane's own; what the tests are told stands in PLAYLIST_URL and FRONTEND_URL.
start_both() {
    local backend_port frontend_port
    backend_port=$(free_port)
    start backend "$BACKEND" "PLAYLIST_PORT=$backend_port"
    wait_for "http://127.0.0.1:$backend_port/health"
    frontend_port=$(free_port)
    start frontend "$FRONTEND" "FRONTEND_PORT=$frontend_port" "BACKEND_PORT=$backend_port"
    wait_for "http://127.0.0.1:$frontend_port/health"
    export PLAYLIST_URL=http://127.0.0.1:$backend_port FRONTEND_URL=http://127.0.0.1:$frontend_port
}

# Until it answers, half a minute at most. What it answers is for the tests to say.
wait_for() {
    local script='import sys, urllib.request as r; r.build_opener(r.ProxyHandler({})).open(sys.argv[1], timeout=5)'
    for _ in $(seq 60); do
        ! python3 -c "$script" "$1" 2>/dev/null || return 0
        sleep 0.5
    done
    say "nothing answers at $1"
}
