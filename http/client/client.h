/* The HTTP client: all requests to other servers, and the only user of libcurl.
 *
 * One thread moves the bytes of all exchanges; a call blocks its own thread until its exchange has
 * ended or timed out. Connections are reused, with HTTP/2 where it is offered, and their number is
 * bounded, for each address and in all.
 *
 * The client resolves names itself, refuses denied addresses, and connects to the address that it
 * has checked, so that a DNS server cannot answer the check and the connection differently. The
 * certificate's name, SNI and Host always come from the URL. A proxy resolves the names itself:
 * then only literal addresses in the URL are checked. */
#ifndef HTTP_CLIENT_CLIENT_H
#define HTTP_CLIENT_CLIENT_H

#include "http/client/resolver.h"
#include "http/request.h"

struct http_client;

struct http_client_config {
    const char *const *ca_files; /* PEM; none: the system's authorities */
    size_t ca_files_n;
    bool verify;                                /* certificates; false is for tests only */
    bool only_tls13;                            /* else TLS 1.2 too */
    const char *proxy;                          /* URL; NULL: none */
    const char *const *denied, *const *allowed; /* CIDRs; `allowed` wins over `denied` */
    size_t denied_n, allowed_n;
    const char *const *dns_servers; /* http/client/resolver.h */
    size_t dns_servers_n;
    struct cache_budget *caches; /* of the addresses of names */
    int grace_ms;                /* how long a body may arrive slowly; 0: 15 s */
};

/* Reads the CA files; the error names the one that is not. */
const struct err *http_client_create(const struct http_client_config *config,
                                     struct http_client **ret);
/* From now on all exchanges end within that time. */
void http_client_drain(struct http_client *c, int within_ms);
/* Ends all exchanges with an error. No call may be made afterwards. NULL-safe. */
void http_client_stop(struct http_client *c);
void http_client_destroy(struct http_client *c); /* NULL-safe */
void http_client_add_metrics(struct http_client *c, struct buf *out);
struct resolver *http_client_resolver(struct http_client *c);

/* Where to connect to. */
struct http_peer {
    const char *host; /* a name or an IP address, without brackets */
    int port;
    bool no_alias; /* a name that is a CNAME is refused */
};

struct http_call {
    enum http_method method;
    const char *url;               /* https://NAME[:PORT]/PATH?QUERY, sent unchanged */
    bool allow_plain;              /* http:// too */
    bool allow_denied;             /* also denied addresses: the operator gave the URL */
    const struct http_peer *peers; /* tried in turn; none: the URL's host */
    size_t peers_n;
    const char *const *headers; /* "Name: value"; ends with NULL; may be NULL */
    struct str body;            /* PUT, POST */
    int64_t timeout_ms;         /* of the whole exchange, with lookups and redirects */
    size_t reply_max;           /* bytes of its body */
    int sink_fd;                /* > 0: the body of a 2xx goes there instead of memory */
    int redirects_max;          /* GET: followed to https:// only; 0: a redirect is the answer */
};

struct http_answer {
    int status;
    struct str body; /* in the arena; empty with a sink */
    int64_t bytes;   /* of the body, also with a sink */
    struct str head; /* the header lines; see http_answer_header() */
};

/* Any status is a success. Errors: ERR_CONNECTION_FAILED, ERR_CONNECTION_TIMEOUT, ERR_TOO_LARGE,
 * ERR_FORBIDDEN when every address of the host is denied, ERR_INVALID_PARAM for a bad URL. */
const struct err *http_client_run(struct http_client *c, struct arena *a,
                                  const struct http_call *call, struct http_answer *ret);

/* The first header of that name, without surrounding white space; NULL when there is none. */
const char *http_answer_header(struct arena *a, const struct http_answer *answer, const char *name);

#endif
