#!/bin/sh
# Runs the gateway example on a day of recorded readings with known incidents, and says what came of it.
# Variables: BUILD (build), SEED (1), KEEP=1 leaves the data of an earlier run in place.
set -eu

cd "$(dirname "$0")/.."
build=${BUILD:-build}
seed=${SEED:-1}
data=$build/demo
example=examples/gateway
torvyn=$build/torvyn

fail() {
    echo "demo: $*" >&2
    exit 1
}

[ -x "$torvyn" ] || fail "$torvyn is missing; run \`make\` first"
command -v python3 >/dev/null || fail "python3 is missing; install the package python3"

if [ ! -f "$data/labels.json" ] || ! grep -q "\"seed\": $seed," "$data/labels.json"; then
    echo "Making a day of readings of 48 sensors with 30 incidents (seed $seed) ..."
    python3 "$example/simulate.py" --out "$data" --seed "$seed"
fi

echo "Running $example/gateway.yaml ..."
rm -f "$data/uplink.jsonl" "$data/dead-letters.jsonl"
"$torvyn" run "$example/gateway.yaml" --format json \
    --set "COMPONENTS=$PWD/$build/examples/gateway" \
    --set "INPUT=$PWD/$data/readings.jsonl" --set "DEVICES=$PWD/$data/devices.csv" \
    --set "OUTPUT=$PWD/$data/uplink.jsonl" --set "DEAD_LETTERS=$PWD/$data/dead-letters.jsonl" \
    >"$data/report.json" || fail "the run failed; $data/report.json says more"

echo
python3 "$example/report.py" "$data"
