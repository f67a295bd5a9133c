#!/bin/bash
# Builds the program of this folder with the crates of Cargo.lock, within BUILD_SECONDS; what is built in that time
# is not built again. Prints its path. Exit status 3: there is no Rust that is new enough, or no crates.io.
set -eu
cd "$(dirname "$0")"
wanted=$(sed -nE 's/^rust-version = "(.*)"/\1/p' Cargo.toml)
at_least() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -1)" = "$1" ]; }
PATH=$PATH:$HOME/.cargo/bin

for toolchain in "" +stable +nightly; do # those that rustup has, if it is there
    version=$(RUSTUP_AUTO_INSTALL=0 cargo $toolchain --version 2>/dev/null | cut -d' ' -f2) || continue
    [ -n "$version" ] && at_least "$wanted" "$version" && break
    version=""
done
if [ -z "$version" ]; then
    echo "cargo $wanted or newer is needed, and found: $(cargo --version 2>/dev/null || echo none)" >&2
    exit 3
fi

target=${RUST_TARGET:-$(cd ../../.. && pwd)/build/rust}
mkdir -p "$target"
log=$target/install.log
cargo $toolchain fetch --locked >"$log" 2>&1 || {
    cat "$log" >&2
    grep -q -e --locked "$log" && exit 1 # Cargo.lock is not of this Cargo.toml
    exit 3
}
timeout "${BUILD_SECONDS:-1500}" cargo $toolchain build --locked --offline --target-dir "$target" >"$log" 2>&1 || {
    tail -n 40 "$log" >&2
    exit 1
}
echo "$target/debug/concorde-rust-device"
