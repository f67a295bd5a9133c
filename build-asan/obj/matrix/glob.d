build-asan/obj/matrix/glob.o: matrix/glob.c matrix/glob.h base/str.h \
 base/arena.h base/err.h base/errors.def
matrix/glob.h:
base/str.h:
base/arena.h:
base/err.h:
base/errors.def:
