#!/bin/bash
# Installs missing packages with apt-get (Debian 12), as root or by sudo.
#   deps.sh run         packages for building and running
#   deps.sh run test    and for the tests
#   deps.sh run tidy    and for that target; likewise lto and coverage
# A stamp makes it instant when nothing has changed since.
set -eu
cd "$(dirname "$0")/.."

run="make pkg-config libc6-dev libmicrohttpd-dev libjansson-dev libolm-dev libpq-dev libssl-dev
     libsodium-dev libyaml-dev libcurl4-openssl-dev libc-ares-dev libvips-dev libxml2-dev
     libseccomp-dev libcrypt-dev libicu-dev postgresql ca-certificates"
test="clang clang-format libclang-rt-14-dev ccache libcmocka-dev python3-pytest python3-pytest-xdist
      libevent-2.1-7 python3-httpx python3-yaml python3-cryptography python3-venv python3-matrix-nio openssl"
tidy="clang clang-tidy python3"
lto="gcc"
coverage="gcc gcovr"

packages=""
for group in "$@"; do packages="$packages ${!group}"; done
# Any C compiler and any recent Node.js will do.
command -v gcc clang >/dev/null || packages="$packages gcc"
node_version() { node --version 2>/dev/null | sed -E 's/^v([0-9]+).*/\1/'; }
case " $* " in *" test "*)
    [ "$(node_version || echo 0)" -ge 18 ] 2>/dev/null || packages="$packages nodejs"
    command -v npm >/dev/null || packages="$packages npm" ;;
esac

# Proxies for tests, of HTTP and of the database. Only unpacked: installing them would start services.
unpacked=""
case " $* " in *" test "*)
    for p in nginx caddy pgbouncer haproxy; do command -v $p >/dev/null || unpacked="$unpacked $p"; done ;;
esac

stamp="build/deps-$(echo "$*" | tr ' ' '-')"
want=$(echo $packages $unpacked)
[ -e "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && exit 0

missing=""
for p in $packages; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] ||
        missing="$missing $p"
done
if [ -n "$missing" ]; then
    command -v apt-get >/dev/null || {
        echo "deps: install by hand what these Debian packages hold:$missing" >&2; exit 1; }
    as_root=""
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || {
            echo "deps: run as root: apt-get install$missing" >&2; exit 1; }
        as_root=sudo
    fi
    echo "deps: installing$missing"
    # Only the programs of PostgreSQL are needed, not another running database.
    settings=/etc/postgresql-common/createcluster.conf
    case "$missing " in *" postgresql "*)
        [ -e $settings ] || {
            $as_root mkdir -p ${settings%/*}
            echo "create_main_cluster = false" | $as_root tee $settings >/dev/null; } ;;
    esac
    $as_root apt-get update -qq
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o Dpkg::Options::=--force-confold $missing >/dev/null
fi
mkdir -p build
for p in $unpacked; do
    [ ! -e "build-tools/usr/sbin/$p" ] && [ ! -e "build-tools/usr/bin/$p" ] || continue
    echo "deps: unpacking $p into build-tools"
    rm -rf build/deb && mkdir -p build/deb
    (cd build/deb && apt-get download -qq "$p" 2>/dev/null && dpkg -x ./*.deb ../../build-tools)
    rm -rf build/deb
done
echo "$want" > "$stamp"
