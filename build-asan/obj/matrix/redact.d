build-asan/obj/matrix/redact.o: matrix/redact.c matrix/redact.h \
 base/json.h base/arena.h base/err.h base/errors.def base/str.h \
 matrix/room_version.h matrix/canonical_json.h matrix/json_scan.h
matrix/redact.h:
base/json.h:
base/arena.h:
base/err.h:
base/errors.def:
base/str.h:
matrix/room_version.h:
matrix/canonical_json.h:
matrix/json_scan.h:
