#include "storage/devices/dehydrated_devices.h"

SQL(dehydrated_device_get_sql, "SELECT d.id, d.device_id, h.device_data FROM dehydrated_devices h "
                               "JOIN devices d ON d.id = h.device WHERE h.\"user\" = $1")

const struct err *dehydrated_device_get(struct tx *tx, int64_t user, struct dehydrated_device *ret)
{
    struct dehydrated_device d = {0};
    TRY(db_one(tx, &dehydrated_device_get_sql, P(INT(user)), NULL,
               R(INT_OUT(&d.device.id), TEXT_OUT(&d.device.device_id), BYTES_OUT(&d.data))));
    *ret = d;
    return NULL;
}

SQL(dehydrated_device_write_sql,
    "INSERT INTO dehydrated_devices (\"user\", device, device_data) VALUES ($1, $2, $3) "
    "ON CONFLICT (\"user\") DO UPDATE "
    "SET device = excluded.device, device_data = excluded.device_data")

void dehydrated_device_write(struct write *w, int64_t user, int64_t device, struct str data)
{
    write_statement(w, &dehydrated_device_write_sql, P(INT(user), INT(device), BYTES(data)));
}
