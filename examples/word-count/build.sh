#!/usr/bin/env bash
# Build the image abacod/word-count from this folder and this machine's static busybox; no registry is asked.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
image=${1:-abacod/word-count}

# The same engine as abacod finds, also where it is not the docker command's default.
if [[ -z ${DOCKER_HOST:-} ]]; then
    DOCKER_HOST=$("$here/../../scripts/engine" address)
    export DOCKER_HOST
fi

busybox=
for path in /bin/busybox /usr/bin/busybox; do
    # A program that needs libraries cannot run in an empty image.
    if [[ -x $path ]] && ! ldd "$path" 2>/dev/null | grep -q '=>'; then busybox=$path; fi
done
if [[ -z $busybox ]]; then
    echo "build.sh: needs a static /bin/busybox (Debian: apt-get install busybox-static)" >&2
    exit 1
fi

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
# Modes are set here and not by COPY --chmod, which only BuildKit knows; a container runs as its owner, not as root.
install -m 0755 "$busybox" "$context/busybox"
install -m 0755 "$here/word-count.sh" "$context/word-count.sh"
install -m 0644 "$here/Dockerfile" "$context/Dockerfile"

# The classic builder warns of its age at every build; words that matter come with a failure.
if ! words=$(docker build --quiet --tag "$image" "$context" 2>&1); then
    printf '%s\n' "$words" >&2
    exit 1
fi
echo "Built $image"
