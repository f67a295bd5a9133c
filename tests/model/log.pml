/* The log that nodes share (storage/nodes/log_view.h, storage/nodes/follower.h, storage/db/committer.c).
 *
 * Node 0 runs alone, and node 1 registers at any time. Each has a leader that commits, a follower, and
 * requests that wait in the barrier. What is one transaction, or is done under log_view.lock in one
 * piece, is atomic; between the pieces anything of the others may happen.
 *
 * A macro plants a fault: NO_MEMBERS, NO_FLIGHT, NO_AWAIT, EARLY_LOOK. */

#define NODES 2
#define COMMITS(n) (2 - n)
#define REQUESTS 1
#define POSITIONS 4 /* 0, and one a commit */

/* The database: the head, which positions have a row in log_batches, the table of nodes. */
byte position, members = 1;
bool has_row[POSITIONS];
bool is_registered[NODES];
byte said[NODES]; /* nodes.members: what the node says that it knows */

/* Each node: its view of the log. */
byte newest[NODES], known[NODES];
bool has_others[NODES], is_up[NODES];
byte in_flight[NODES]; /* 0: none; 1: sent; 2: committed, at flight_at */
byte flight_at[NODES];
byte asked[NODES], done[NODES];

/* What must be seen by requests that begin now: answered writes, and tokens given out. */
byte answered;

inline read_members(n) { known[n] = members; has_others[n] = is_registered[1 - n] }

/* Publishes rows up to a position; stops where a row is missing, or at the node's batch in flight. */
inline publish_rows(n, upto) {
    do
    :: newest[n] < upto && has_row[newest[n] + 1] &&
#ifdef NO_FLIGHT
       true
#else
       !(in_flight[n] == 2 && flight_at[n] == newest[n] + 1)
#endif
       -> newest[n]++
    :: else -> break
    od;
    if :: newest[n] > answered -> answered = newest[n] :: else fi
}

proctype leader(byte n) {
    byte i, claim, at;
    bool writes_row, ok;
    for (i : 1 .. COMMITS(n)) {
        ok = false;
        do
        :: ok -> break
        :: else ->
            atomic { claim = known[n]; writes_row = has_others[n]; in_flight[n] = 1 }
            atomic { /* the transaction: the row of the head is locked, compared and moved */
                if
#ifdef NO_MEMBERS
                :: true ->
#else
                :: claim == members ->
#endif
                    position++;
                    has_row[position] = writes_row;
                    /* No commit after a node has registered is without a row for it. */
                    assert(!is_registered[1 - n] || writes_row);
                    at = position;
                    flight_at[n] = at;
                    in_flight[n] = 2;
                    ok = true
#ifndef NO_MEMBERS
                :: else
#endif
                fi
            }
            if
            :: ok
            :: else -> atomic { in_flight[n] = 0; read_members(n) }
            fi
        od;
        atomic { /* log_view_catch_up_locked(), then its own */
            publish_rows(n, at - 1);
            assert(newest[n] == at - 1); /* in order, no gap, not twice */
            newest[n] = at;
            in_flight[n] = 0;
            if :: at > answered -> answered = at :: else fi
        }
    }
}

proctype follower(byte n) {
    byte number, head;
    bool all;
end:
    do
    :: asked[n] != done[n] || newest[n] < position || said[n] != members ->
        number = asked[n];
        all = false;
        do
        :: all -> break
        :: else ->
            head = position; /* one statement: head, members and rows, as of one time ... */
            atomic {
                if :: known[n] != members -> read_members(n) :: else fi;
                publish_rows(n, head);
                all = newest[n] >= head || !in_flight[n];
                assert(newest[n] >= head || in_flight[n]) /* else a row is missing */
            }
        od;
        said[n] = known[n];
#ifdef EARLY_LOOK
        number = asked[n];
#endif
        atomic { done[n] = number; number = 0; head = 0 }
    od
}

proctype requests(byte n) {
    byte i, number, must;
    for (i : 1 .. REQUESTS) {
        atomic { must = answered; number = 0 }
        if
        :: !has_others[n]
        :: else ->
            atomic { asked[n]++; number = asked[n] }
            done[n] >= number
        fi;
        assert(newest[n] >= must)
    }
}

inline start(n) { run leader(n); run follower(n); run requests(n) }

init {
    atomic {
        is_registered[0] = true;
        known[0] = members;
        said[0] = members;
        start(0)
    }
    atomic { /* log_view_register() */
        members++;
        is_registered[1] = true;
        newest[1] = position;
        read_members(1);
        said[1] = members
    }
#ifndef NO_AWAIT
    said[0] == members; /* log_view_await_others() */
#endif
    atomic { start(1) }
}
