#!/bin/bash
# Prints where the databases of tests are kept: in memory when there is plenty of it, for a disk takes
# most of the time that a test's server needs to start. A test that ends in the middle leaves them
# there: concorde-*.
free_kib() { df --output=avail -k /dev/shm 2>/dev/null | tail -1; }
available_kib() { sed -nE 's/^MemAvailable: +([0-9]+) kB/\1/p' /proc/meminfo; }
enough=$((8 << 20))
place=${TMPDIR:-/tmp}
[ "$(stat -f -c %T /dev/shm 2>/dev/null)" = tmpfs ] && [ -w /dev/shm ] &&
    [ "$(free_kib)" -ge $enough ] && [ "$(available_kib)" -ge $enough ] && place=/dev/shm
echo "${TEST_SCRATCH:-$place}"
