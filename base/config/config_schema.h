/* Private to base/config*.c: how keys are described, and a value on its way into struct config.
 *
 * A value is a list of items (one for a scalar) from any origin ("file:12", "CONCORDE_LISTEN",
 * "--set"), with which messages about it begin. */
#ifndef BASE_CONFIG_SCHEMA_H
#define BASE_CONFIG_SCHEMA_H

#include "base/config/config.h"

enum config_type {
    CONFIG_TEXT,
    CONFIG_BOOL,
    CONFIG_INT,
    CONFIG_NUMBER,
    CONFIG_SIZE,     /* bytes: 1000, 50M */
    CONFIG_DURATION, /* milliseconds: 1000, 5m */
    CONFIG_CHOICE,   /* an enum: index into choices */
    CONFIG_LIST,
    CONFIG_LISTEN
};

struct config_key {
    const char *name;
    enum config_type type;
    size_t offset;
    const char *initial; /* in the form of --set; NULL: unset (zero, empty) */
    const char *help;
    int64_t min, max;           /* INT, SIZE, DURATION, NUMBER; both 0: not negative */
    const char *const *choices; /* CHOICE: ends with NULL */
    /* TEXT and each item of a LIST: NULL when well-formed, else what was expected. */
    const char *(*check)(const char *text);
    bool secret; /* never shown */
};

extern const struct config_key config_keys[]; /* ends with a NULL name */

/* Other spellings: a whole key, or a group whose keys follow. */
struct config_alias {
    const char *name, *key;
};
extern const struct config_alias config_aliases[];

/* Synapse's keys that may still be in an operator's file. Keys that the operator relies on are
 * refused; the others are accepted with a warning. */
struct config_note {
    const char *name; /* also matches everything below it */
    bool refused;
    const char *text;
};
extern const struct config_note config_notes[];

struct config_value {
    const struct config_key *key;
    const char *origin;
    int line;                            /* in the file; 0: from elsewhere */
    const struct config_listener *items; /* text in .address; TLS files only for LISTEN */
    size_t n;
    bool is_list;
};

struct config_reader {
    struct arena *arena;
    struct config *config;
    const char **origins;
    struct buf *problems;
    struct buf warnings; /* NUL-separated */
    size_t warnings_n;
};

void config_problem(struct config_reader *r, const char *fmt, ...) PRINTF_LIKE(2, 3);

const struct config_key *config_find_key(const char *name);
/* Resolves aliases and finds the key; notes, groups and unknown names are reported. ret_name: the
 * name after aliases. NULL key: nothing to set (*ret_is_group: descend if the value is a mapping).
 */
const struct config_key *config_resolve(struct config_reader *r, const char *origin,
                                        const char *name, const char **ret_name,
                                        bool *ret_is_group);

/* Checks a value and stores it. */
void config_set(struct config_reader *r, const struct config_value *v);
/* From one string: lists are comma-separated. */
void config_set_text(struct config_reader *r, const struct config_key *key, const char *origin,
                     const char *text);

/* Reads the YAML file and sets its keys. */
void config_read_file(struct config_reader *r, const char *file);

/* Checks for config_keys.c, in config_value.c. */
const char *config_check_url(const char *text);
const char *config_check_push_rewrite(const char *text);
const char *config_check_cidr(const char *text);
const char *config_check_language(const char *text);
const char *config_check_database(const char *text);
const char *config_check_dns_server(const char *text);
const char *config_check_filled(const char *text);

#endif
