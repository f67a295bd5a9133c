/* The commented example file that `concorde check-config --example` prints. */
#include "base/config/config_schema.h"

enum { LINE_MAX_ = 96 };

static void add_help(struct buf *out, const char *help, const char *indent)
{
    size_t column = 0;
    while (*help) {
        size_t n = strcspn(help, " ");
        if (!column || column + 1 + n > LINE_MAX_) {
            if (column)
                buf_add_char(out, '\n');
            buf_printf(out, "%s#", indent);
            column = strlen(indent) + 1;
        }
        buf_printf(out, " %.*s", (int)n, help);
        column += 1 + n;
        help += n + (help[n] == ' ');
    }
    buf_add_char(out, '\n');
}

static void config_example_add_value(struct buf *out, const struct config_key *k,
                                     const char *indent)
{
    bool is_list = k->type == CONFIG_LIST || k->type == CONFIG_LISTEN;
    if (!k->initial || !is_list) {
        buf_printf(out, " %s\n", k->initial ? k->initial : is_list ? "[]" : "");
        return;
    }
    buf_add_char(out, '\n');
    for (const char *at = k->initial; *at;) {
        size_t n = strcspn(at, ",");
        buf_printf(out, "%s#  - \"%.*s\"\n", indent, (int)n, at);
        at += n + (at[n] == ',');
    }
}

void config_add_example(struct buf *out)
{
    const char *group = "";
    size_t group_n = 0;
    for (const struct config_key *k = config_keys; k->name; k++) {
        const char *dot = strchr(k->name, '.');
        size_t n = dot ? (size_t)(dot - k->name) : 0;
        bool same_group = n == group_n && strncmp(group, k->name, n) == 0;
        if (!n || !same_group)
            buf_add_text(out, k == config_keys ? "" : "\n");
        if (n && !same_group)
            buf_printf(out, "#%.*s:\n", (int)n, k->name);
        group = k->name;
        group_n = n;
        const char *leaf = dot ? dot + 1 : k->name, *indent = dot ? "#  " : "";
        add_help(out, k->help, dot ? "#  " : "");
        buf_printf(out, "%s%s:", dot ? indent : "#", leaf);
        config_example_add_value(out, k, indent);
    }
}
