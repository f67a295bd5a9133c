/* Leases with fences (storage/nodes/lease.h). A node takes a lease that is free or has expired, works in
 * transactions that check the fence, and may stand still anywhere. Expiry may come at any time, also
 * while the holder believes that it holds the lease.
 *
 * A macro plants a fault: NO_FENCE (transactions do not check it), NO_LOCK (the check does not keep
 * others from taking the lease until the transaction ends), SAME_FENCE (it does not grow). */

#define NODES 2
#define TAKES 2
#define WORKS 2

byte holder = NODES; /* no node */
byte fence;
bool has_expired;
byte checking; /* transactions that have locked the row */

inline lease_take(n) {
    atomic {
        (holder == NODES || has_expired) && checking == 0;
        holder = n;
        has_expired = false;
#ifdef SAME_FENCE
        fence = 1;
#else
        fence++;
#endif
        own = fence
    }
}

proctype worker(byte n) {
    byte i, j, own;
    for (i : 1 .. TAKES) {
        lease_take(n);
        for (j : 1 .. WORKS) {
            /* The transaction does its work, and checks the fence last: the row is locked. */
            atomic {
                if
#ifdef NO_FENCE
                :: true ->
#else
                :: own == fence ->
#endif
#ifndef NO_LOCK
                    checking++
#else
                    skip
#endif
#ifndef NO_FENCE
                :: else -> goto lost
#endif
                fi
            }
            atomic { /* COMMIT: no other node has the lease */
                assert(own == fence && holder == n);
#ifndef NO_LOCK
                checking--
#endif
            }
        }
lost:
        atomic { if :: own == fence && holder == n && checking == 0 -> holder = NODES :: else fi }
    }
}

active proctype expiry() {
end:
    do
    :: atomic { holder != NODES && !has_expired -> has_expired = true }
    od
}

init {
    byte n;
    atomic { for (n : 0 .. NODES - 1) { run worker(n) } }
}
