#include "server/media/thumbnail_size.h"

/* The specification's sizes for `scale`, and one for large screens. */
static const struct {
    int width, height;
} boxes[] = {
    {320, 240}, {640, 480}, {800, 600}, {1600, 1200}, {THUMBNAIL_SIDE_MAX, THUMBNAIL_SIDE_MAX},
};

/* Clients crop mostly for avatars, which are square, and always want the requested ratio: each side
 * is rounded up separately. 32 and 96 are the specification's. */
static const int sides[] = {32, 96, 240, 320, 480, 600, 640, 800, 1600, THUMBNAIL_SIDE_MAX};

static int snap_side(int side)
{
    size_t i = 0;
    while (sides[i] < side && sides[i] != THUMBNAIL_SIDE_MAX)
        i++;
    return sides[i];
}

struct thumbnail_size thumbnail_size_snap(struct thumbnail_size wanted)
{
    struct thumbnail_size size = wanted;
    if (wanted.crop) {
        size.width = snap_side(wanted.width);
        size.height = snap_side(wanted.height);
        return size;
    }
    size_t i = 0;
    while ((boxes[i].width < wanted.width || boxes[i].height < wanted.height) &&
           boxes[i].width != THUMBNAIL_SIDE_MAX)
        i++;
    size.width = boxes[i].width;
    size.height = boxes[i].height;
    return size;
}

void thumbnail_size_add_name(struct buf *b, struct thumbnail_size size)
{
    buf_printf(b, "%dx%d-%s%s", size.width, size.height, size.crop ? "crop" : "scale",
               size.animated ? "-animated" : "");
}

static const struct err *each_crop(const struct err *(*fn)(void *ctx, struct thumbnail_size),
                                   void *ctx, bool animated)
{
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++)
        for (size_t k = 0; k < sizeof sides / sizeof *sides; k++)
            TRY(fn(ctx, (struct thumbnail_size){sides[i], sides[k], true, animated}));
    return NULL;
}

const struct err *thumbnail_size_each(const struct err *(*fn)(void *ctx, struct thumbnail_size),
                                      void *ctx)
{
    for (int animated = 0; animated < 2; animated++) {
        for (size_t i = 0; i < sizeof boxes / sizeof *boxes; i++)
            TRY(fn(ctx, (struct thumbnail_size){boxes[i].width, boxes[i].height, false, animated}));
        TRY(each_crop(fn, ctx, animated));
    }
    return NULL;
}
