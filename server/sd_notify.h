/* Tells systemd (Type=notify) how the service is doing: one datagram to $NOTIFY_SOCKET. Does
 * nothing when not run by systemd. */
#ifndef SERVER_SD_NOTIFY_H
#define SERVER_SD_NOTIFY_H

void sd_notify_state(const char *state); /* "READY=1", "STOPPING=1" */

#endif
