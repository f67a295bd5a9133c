#!/bin/bash
# Installs missing packages with apt-get (Debian 12), as root or by sudo.
#   deps.sh run         packages for building and running
#   deps.sh run test    and for the tests
#   deps.sh run tidy    and for that target; likewise lto and coverage
#   deps.sh run test nodes    and for the tests of several nodes
# A stamp makes it instant when nothing has changed since.
set -eu
cd "$(dirname "$0")/.."

run="make pkg-config libc6-dev libmicrohttpd-dev libjansson-dev libolm-dev libpq-dev libssl-dev
     libsodium-dev libyaml-dev libcurl4-openssl-dev libc-ares-dev libvips-dev libxml2-dev
     libseccomp-dev libcrypt-dev libicu-dev postgresql ca-certificates"
test="clang clang-format libclang-rt-14-dev ccache libcmocka-dev python3-pytest python3-pytest-xdist
      libevent-2.1-7 liblua5.3-0 libopentracing-c-wrapper0 libpcre2-8-0 python3-httpx
      python3-yaml python3-cryptography python3-venv python3-matrix-nio openssl"
# What those that are only unpacked (below) need.
nodes="python3-psycopg2 python3-etcd python3-click python3-dateutil python3-prettytable python3-psutil
       python3-urllib3 python3-cdiff python3-pkg-resources"
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

# For tests: proxies of HTTP and of the database, and what makes a PostgreSQL fail over. Only unpacked: installing
# them would start services.
unpacked=""
case " $* " in *" test "*) unpacked="nginx caddy pgbouncer haproxy" ;; esac
case " $* " in *" nodes "*) unpacked="$unpacked patroni etcd-server" ;; esac
is_there() {
    command -v "${1%-server}" >/dev/null || [ -e "build-tools/usr/sbin/$1" ] ||
        [ -e "build-tools/usr/bin/${1%-server}" ]
}

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
    is_there "$p" && continue
    echo "deps: unpacking $p into build-tools"
    rm -rf build/deb && mkdir -p build/deb
    (cd build/deb && apt-get download -qq "$p" 2>/dev/null && dpkg -x ./*.deb ../../build-tools)
    rm -rf build/deb
done
echo "$want" > "$stamp"
