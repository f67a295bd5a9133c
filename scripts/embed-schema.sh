#!/bin/bash
# Prints a C file that holds schema/objects.txt, the first argument, and the migrations
# (schema/NNNN-name.sql) that follow as strings.
set -eu
objects=$1
shift
printf '#include "storage/schema/migrate.h"\n#include "storage/schema/schema_check.h"\n\n#include <stddef.h>\n'
echo 'const char schema_objects[] ='
sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/    "/' -e 's/$/\\n"/' "$objects"
echo '    "";'
echo 'const struct migration migrations[] = {'
for file in "$@"; do
    name=$(basename "$file" .sql)
    echo "    {$((10#${name%%-*})), \"$name\","
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/        "/' -e 's/$/\\n"/' "$file"
    echo '    },'
done
echo '    {0, NULL, NULL},'
echo '};'
