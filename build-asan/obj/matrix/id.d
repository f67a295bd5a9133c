build-asan/obj/matrix/id.o: matrix/id.c matrix/id.h base/str.h \
 base/arena.h base/err.h base/errors.def
matrix/id.h:
base/str.h:
base/arena.h:
base/err.h:
base/errors.def:
