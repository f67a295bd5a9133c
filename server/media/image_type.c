#include "server/media/image_type.h"

static const struct {
    const char *mime, *name;
} types[] = {
    [IMAGE_NONE] = {"application/octet-stream", "bin"},
    [IMAGE_PNG] = {"image/png", "png"},
    [IMAGE_JPEG] = {"image/jpeg", "jpg"},
    [IMAGE_GIF] = {"image/gif", "gif"},
    [IMAGE_WEBP] = {"image/webp", "webp"},
    [IMAGE_AVIF] = {"image/avif", "avif"},
};

static bool image_type_has(struct str s, size_t at, struct str wanted)
{
    return s.n >= at + wanted.n && memcmp(s.p + at, wanted.p, wanted.n) == 0;
}

static uint32_t big_endian(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* ISO/IEC 14496-12: a box `ftyp` with its brands, the second of which is a version. */
static bool is_avif(struct str s)
{
    if (!image_type_has(s, 4, STR("ftyp")) || s.n < 12)
        return false;
    size_t end = big_endian(s.p);
    end = end < s.n ? end : s.n;
    for (size_t at = 8; at + 4 <= end; at += at == 8 ? 8 : 4)
        if (image_type_has(s, at, STR("avif")) || image_type_has(s, at, STR("avis")))
            return true;
    return false;
}

enum image_type image_type_of(struct str first)
{
    if (image_type_has(first, 0, STR("\x89PNG\r\n\x1a\n")))
        return IMAGE_PNG;
    if (image_type_has(first, 0, STR("\xff\xd8\xff")))
        return IMAGE_JPEG;
    if (image_type_has(first, 0, STR("GIF87a")) || image_type_has(first, 0, STR("GIF89a")))
        return IMAGE_GIF;
    if (image_type_has(first, 0, STR("RIFF")) && image_type_has(first, 8, STR("WEBP")))
        return IMAGE_WEBP;
    return is_avif(first) ? IMAGE_AVIF : IMAGE_NONE;
}

const char *image_type_mime(enum image_type t)
{
    return types[t].mime;
}

const char *image_type_name(enum image_type t)
{
    return types[t].name;
}

/* The chunk acTL comes before the first IDAT. A chunk: length, type, data, checksum. */
bool image_png_is_animated(struct str file)
{
    for (size_t at = 8; at + 12 <= file.n;) {
        if (image_type_has(file, at + 4, STR("acTL")))
            return true;
        if (image_type_has(file, at + 4, STR("IDAT")))
            return false;
        size_t step = (size_t)big_endian(file.p + at) + 12;
        if (step > file.n - at)
            return false;
        at += step;
    }
    return false;
}
