build-asan/obj/matrix/push_rules_eval.o: matrix/push_rules_eval.c \
 matrix/dotted_path.h base/json.h base/arena.h base/err.h base/errors.def \
 base/str.h matrix/glob.h matrix/push_rules_predefined.h \
 matrix/push_rules.h
matrix/dotted_path.h:
base/json.h:
base/arena.h:
base/err.h:
base/errors.def:
base/str.h:
matrix/glob.h:
matrix/push_rules_predefined.h:
matrix/push_rules.h:
