#include "base/mem.h"
#include "base/str.h"
#include "storage/embedded/embedded_cluster.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Where distributions install several versions. */
static const char *const versioned[] = {"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin",
                                        "/usr/local/pgsql/bin", "/usr/lib/postgresql*/bin"};

static bool has_program(struct arena *a, const char *dir, const char *name)
{
    return access(arena_printf(a, "%s/%s", dir, name), X_OK) == 0;
}

/* The first line that a command prints, without its newline; "" when it fails. */
static const char *first_line(struct arena *a, const char *command)
{
    char line[512] = "";
    FILE *f = popen(command, "re");
    if (!f)
        return "";
    if (!fgets(line, sizeof line, f))
        line[0] = '\0';
    pclose(f);
    line[strcspn(line, "\n")] = '\0';
    return arena_strdup(a, line);
}

/* The major version of the programs in a directory; 0: not all are usable. */
static int version_in(struct arena *a, const char *dir)
{
    if (strchr(dir, '\'') || !has_program(a, dir, "postgres") || !has_program(a, dir, "initdb"))
        return 0;
    int version = 0;
    const char *says = first_line(a, arena_printf(a, "'%s/postgres' -V", dir));
    return sscanf(says, "postgres (PostgreSQL) %d", &version) == 1 ? version : 0;
}

struct search {
    struct arena *arena;
    int wanted; /* 0: the newest */
    int found;
    const char *dir;
};

static void consider(struct search *s, const char *dir)
{
    int version = version_in(s->arena, dir);
    bool better = s->wanted ? version == s->wanted && !s->found : version > s->found;
    if (!better)
        return;
    s->found = version;
    s->dir = arena_strdup(s->arena, dir);
}

static void consider_path(struct search *s, const char *path)
{
    char *copy = arena_strdup(s->arena, path), *rest = copy;
    for (char *dir; (dir = strsep(&rest, ":"));)
        if (*dir == '/')
            consider(s, dir);
}

const char *cluster_find_programs(struct arena *a, int version)
{
    struct search s = {.arena = a, .wanted = version};
    for (size_t i = 0; i < sizeof versioned / sizeof *versioned; i++) {
        glob_t found;
        if (glob(versioned[i], 0, NULL, &found) == 0)
            for (size_t j = 0; j < found.gl_pathc; j++)
                consider(&s, found.gl_pathv[j]);
        globfree(&found);
    }
    if (!s.dir && getenv("PATH"))
        consider_path(&s, getenv("PATH"));
    if (!s.dir)
        consider(&s, first_line(a, "pg_config --bindir 2>/dev/null"));
    return s.dir;
}
