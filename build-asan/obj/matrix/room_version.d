build-asan/obj/matrix/room_version.o: matrix/room_version.c \
 matrix/room_version.h matrix/canonical_json.h base/json.h base/arena.h \
 base/err.h base/errors.def base/str.h
matrix/room_version.h:
matrix/canonical_json.h:
base/json.h:
base/arena.h:
base/err.h:
base/errors.def:
base/str.h:
