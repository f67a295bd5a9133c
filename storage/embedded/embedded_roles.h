/* The roles and the database of the embedded cluster. For embedded.c. */
#ifndef STORAGE_EMBEDDED_EMBEDDED_ROLES_H
#define STORAGE_EMBEDDED_EMBEDDED_ROLES_H

#include "storage/embedded/embedded_cluster.h"

/* Creates the role and the database if they are missing, and makes the role own the objects of the
 * database. Called at every start, once the cluster is ready. */
const struct err *embedded_prepare_roles(const struct cluster *c);

#endif
