/* The program concorde-thumbnail (server/media/thumbnail_child.h): makes one thumbnail by libvips.
 */
#include "server/media/thumbnail_confine.h"
#include "server/media/thumbnail_image.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vips/vips.h>

/* No cleanup is needed, and sanitizers would report memory that libraries keep. */
__attribute__((noreturn)) static void thumbnail_child_finish(enum thumbnail_outcome outcome)
{
    if (outcome == THUMBNAIL_FAILED)
        fputs(vips_error_buffer(), stderr);
    fflush(stderr);
    _exit(outcome);
}

static struct str map_input(void)
{
    struct stat s;
    if (fstat(0, &s) || s.st_size == 0)
        thumbnail_child_finish(THUMBNAIL_NOT_AN_IMAGE);
    void *p = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, 0, 0);
    if (p == MAP_FAILED)
        thumbnail_child_finish(THUMBNAIL_TOO_LARGE);
    return (struct str){p, (size_t)s.st_size};
}

static struct thumbnail_task read_task(char **argv)
{
    return (struct thumbnail_task){
        .size = {.width = atoi(argv[1]),
                 .height = atoi(argv[2]),
                 .crop = strcmp(argv[3], "crop") == 0,
                 .animated = strcmp(argv[4], "animated") == 0},
        .pixels_max = atoll(argv[5]),
    };
}

int main(int argc, char **argv)
{
    confine_user();
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a change of user would clear it */
    if (argc != 6 || !confine_resources())
        _exit(THUMBNAIL_FAILED);
    struct thumbnail_task t = read_task(argv);
    t.file = map_input();
    t.type = image_type_of(t.file);
    if (t.type == IMAGE_NONE)
        thumbnail_child_finish(THUMBNAIL_NOT_AN_IMAGE);
    if (!thumbnail_image_start())
        thumbnail_child_finish(THUMBNAIL_FAILED);
    thumbnail_image_allow(t.type);
    if (!confine_paths() || !confine_calls())
        thumbnail_child_finish(THUMBNAIL_FAILED);
    thumbnail_child_finish(thumbnail_image_make(&t, 1));
}
