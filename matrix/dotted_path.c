#include "matrix/dotted_path.h"

static bool is_escape(struct str s, size_t i)
{
    return s.p[i] == '\\' && i + 1 < s.n && (s.p[i + 1] == '.' || s.p[i + 1] == '\\');
}

bool dotted_path_next(struct str *path, char buffer[DOTTED_NAME_MAX], struct str *ret_name)
{
    if (!path->p)
        return false;
    size_t n = 0, escapes = 0;
    for (; n < path->n && path->p[n] != '.'; n++)
        if (is_escape(*path, n)) {
            escapes++;
            n++;
        }
    struct str name = {path->p, n};
    *path = n < path->n ? (struct str){path->p + n + 1, path->n - n - 1} : (struct str){NULL, 0};
    if (escapes) {
        if (n - escapes > DOTTED_NAME_MAX)
            return false;
        size_t out = 0;
        for (size_t i = 0; i < n; i++) {
            if (is_escape(name, i))
                i++;
            buffer[out++] = name.p[i];
        }
        name = (struct str){buffer, out};
    }
    *ret_name = name;
    return true;
}

const json_t *dotted_path_get(const json_t *object, struct str path)
{
    char buffer[DOTTED_NAME_MAX];
    struct str name;
    while (object && path.p) {
        if (!dotted_path_next(&path, buffer, &name))
            return NULL;
        object = json_object_getn(object, name.p, name.n);
    }
    return object;
}
