/* Processes of the embedded cluster: running its programs as its user, finding running ones.
 *
 * They get a session of their own (Ctrl-C does not reach them), no descriptor of ours, a small
 * environment (ours may hold secrets), and the cluster's log as output. */
#ifndef STORAGE_EMBEDDED_EMBEDDED_PROCESS_H
#define STORAGE_EMBEDDED_EMBEDDED_PROCESS_H

#include "storage/embedded/embedded_cluster.h"

/* Starts a program (argv[0]: its path). dies_with_us: for programs that do not outlive us. */
const struct err *cluster_spawn(const struct cluster *c, const char *const argv[],
                                bool dies_with_us, pid_t *ret);

/* Runs a program to its end; an error, with the log's last line, when it fails. */
const struct err *cluster_run(const struct cluster *c, const char *const argv[]);

/* The end of the log, which has the reason of a failure. */
const char *cluster_log_tail(const struct cluster *c);

enum postmaster_state { POSTMASTER_STARTING, POSTMASTER_READY, POSTMASTER_STOPPING };

/* The postmaster that postmaster.pid names, and its state; 0 when the file is missing or stale. */
pid_t cluster_live_postmaster(const struct cluster *c, enum postmaster_state *ret_state);

/* Removes postmaster.pid and the socket's lock when their process id now belongs to another program
 * (common in containers, where ids are few) or to a zombie: postgres would refuse to start. In
 * every other case postgres judges the files itself. */
void cluster_remove_stale_pid_files(const struct cluster *c);

/* Sends a signal (0: none, to count) to every process of this cluster. Returns to how many. */
size_t cluster_signal_all(const struct cluster *c, int signal_number);

#endif
