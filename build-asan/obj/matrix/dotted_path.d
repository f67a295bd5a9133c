build-asan/obj/matrix/dotted_path.o: matrix/dotted_path.c \
 matrix/dotted_path.h base/json.h base/arena.h base/err.h base/errors.def \
 base/str.h
matrix/dotted_path.h:
base/json.h:
base/arena.h:
base/err.h:
base/errors.def:
base/str.h:
