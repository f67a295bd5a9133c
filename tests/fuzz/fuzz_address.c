/* Input: two lines, each an IP address as proxies, settings and URLs have it, or a range of them.
 */
#include "fuzz.h"

#include "http/address.h"

static void check_address(struct str text, const struct address_ranges *ranges)
{
    struct address address, again;
    char written[INET6_ADDRSTRLEN];
    if (!address_parse(text, &address))
        return;
    address_write(&address, written);
    HOLDS(address_parse(str_of(written), &again) && memcmp(&address, &again, sizeof again) == 0);
    struct str subscriber = address_subscriber(&address);
    HOLDS(subscriber.n > 0 && subscriber.n <= sizeof address);
    if (ranges)
        HOLDS(address_is_within(ranges, &address) == address_is_within(ranges, &again));
}

/* An address is in the range of itself alone. */
static void check_own_range(struct arena *a, struct str text)
{
    struct address address;
    char written[INET6_ADDRSTRLEN];
    struct address_ranges *own;
    if (!address_parse(text, &address))
        return;
    address_write(&address, written);
    const char *list[] = {written};
    HOLDS(!address_ranges_create(list, 1, &own));
    HOLDS(address_is_within(own, &address));
    address.bytes[15] ^= 1;
    HOLDS(!address_is_within(own, &address));
    address_ranges_destroy(own);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena_auto struct arena *a = arena_create();
    const char *end = size ? memchr(data, '\n', size) : NULL;
    size_t n = end ? (size_t)(end - (const char *)data) : size;
    struct str first = fuzz_str(data, n);
    struct str second = end ? (struct str){end + 1, size - n - 1} : first;
    const char *cidr[] = {str_dup(a, first)};
    struct address_ranges *ranges = NULL;
    if (address_ranges_create(cidr, 1, &ranges))
        ranges = NULL;
    check_address(first, ranges);
    check_address(second, ranges);
    check_own_range(a, second);
    address_ranges_destroy(ranges);
    return 0;
}
