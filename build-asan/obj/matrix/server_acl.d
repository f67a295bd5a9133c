build-asan/obj/matrix/server_acl.o: matrix/server_acl.c \
 matrix/server_acl.h base/json.h base/arena.h base/err.h base/errors.def \
 base/str.h matrix/glob.h
matrix/server_acl.h:
base/json.h:
base/arena.h:
base/err.h:
base/errors.def:
base/str.h:
matrix/glob.h:
