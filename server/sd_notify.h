/* Notifies systemd (Type=notify) of the service's state: one datagram to $NOTIFY_SOCKET. Does
 * nothing without systemd. */
#ifndef SERVER_SD_NOTIFY_H
#define SERVER_SD_NOTIFY_H

void sd_notify_state(const char *state); /* "READY=1", "STOPPING=1" */

#endif
