build-asan/obj/matrix/filter.o: matrix/filter.c matrix/filter.h \
 base/json.h base/arena.h base/err.h base/errors.def base/str.h \
 matrix/dotted_path.h matrix/glob.h matrix/id.h
matrix/filter.h:
base/json.h:
base/arena.h:
base/err.h:
base/errors.def:
base/str.h:
matrix/dotted_path.h:
matrix/glob.h:
matrix/id.h:
