/* The interface between the server and the program `concorde-thumbnail`, which is in the same
 * folder.
 *
 *     concorde-thumbnail WIDTH HEIGHT crop|scale still|animated MAX_PIXELS
 *
 * reads an image from its standard input, a file, writes a thumbnail to its standard output, also a
 * file, and exits with one of the numbers below.
 *
 * It is a program of its own because images are hostile and decoders have holes: it has limits, it
 * cannot open files, use the network or start programs (server/media/thumbnail_confine.h), and it
 * has no secrets. Also, libvips in the server would cost every start 50 ms and 20 MB for its 70
 * libraries. */
#ifndef SERVER_MEDIA_THUMBNAIL_CHILD_H
#define SERVER_MEDIA_THUMBNAIL_CHILD_H

#define THUMBNAIL_PROGRAM "concorde-thumbnail"

enum thumbnail_outcome {
    THUMBNAIL_MADE = 0,
    THUMBNAIL_FAILED = 1,
    THUMBNAIL_IS_ORIGINAL = 64, /* the image is no larger than that: nothing was written */
    THUMBNAIL_NOT_AN_IMAGE,
    THUMBNAIL_TOO_LARGE,
};

#endif
